// Business partners, and sales orders with their items, in the words of SAP's own services, as far as the tests need them.

context db {

  entity BusinessPartner {
    key BusinessPartner         : String(10);
        BusinessPartnerCategory : String(1);
        OrganizationBPName1     : String(40) @mandatory;
        SearchTerm1             : String(20);
        CreditLimit             : Decimal(15, 2);
        FoundationDate          : Date;
        LastContact             : DateTime;
        OpensAt                 : Time;
        Employees               : Integer;
        Turnover                : Integer64;
        Reference               : UUID;
        BusinessPartnerIsBlocked : Boolean;
        CreationDate            : Date @Core.Computed;
        CreationTime            : Time @Core.Computed;
        LastChangeDate          : Date @Core.Computed;
        LastChangeTime          : Time @Core.Computed;
        ETag                    : String(26) @Core.Computed  @odata.etag;
  }

  entity SalesOrder {
    key SalesOrder              : String(10);
        SalesOrderType          : String(4);
        SoldToParty             : String(10) @mandatory;
        PurchaseOrderByCustomer : String(35);
        LastChangeDateTime      : Timestamp @odata.etag  @cds.on.insert: $now  @cds.on.update: $now;
        to_Item                 : Composition of many SalesOrderItem
                                    on to_Item.SalesOrder = SalesOrder;
  }

  entity SalesOrderItem {
    key SalesOrder        : String(10);
    key SalesOrderItem    : String(6);
        Material          : String(40) @mandatory;
        RequestedQuantity : Decimal(15, 3);
        NetAmount         : Decimal(16, 3);
  }

  // What no connector names: its key is no text, its stamp has another name.
  entity Task {
    key TaskID  : UUID;
        Subject : String(80);
        Done    : Boolean;
        Hours   : Decimal(9, 2);
        Due     : Date;
        Touched : Timestamp @odata.etag  @cds.on.insert: $now  @cds.on.update: $now;
  }

}

@path           : '/sap/opu/odata4/sap/API_BUSINESS_PARTNER'
@cds.query.limit: {default: 50, max: 200}
@requires       : 'any'
service API_BUSINESS_PARTNER {
  entity A_BusinessPartner as projection on db.BusinessPartner;
}

@path           : '/sap/opu/odata4/sap/API_SALES_ORDER_SRV'
@cds.query.limit: {default: 50, max: 200}
@requires       : 'any'
service API_SALES_ORDER_SRV {
  entity A_SalesOrder     as projection on db.SalesOrder;
  entity A_SalesOrderItem as projection on db.SalesOrderItem;
}

@path           : '/sap/opu/odata4/sap/TASKS'
@cds.query.limit: {default: 50, max: 200}
@requires       : 'any'
service TASKS {
  entity Tasks as projection on db.Task;
}

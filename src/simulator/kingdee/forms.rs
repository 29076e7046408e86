//! The forms that are known: keys, kinds, references, parts and detail tables.

use serde_json::Value;

use crate::model::record::Record;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    /// A number rounded to so many places.
    Decimal(usize),
    Flag,
    Date,
    DateTime,
    /// A reference to a record of this form.
    Base(&'static str),
}

/// A field: key, label, what it holds.
pub(super) type Field = (&'static str, &'static str, Holds);

/// A form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) label: &'static str,
    /// The key of the internal id.
    pub(super) pk: &'static str,
    /// The key of the number that people use; unique in the form.
    pub(super) number: &'static str,
    pub(super) fields: &'static [Field],
    /// Whether fields outside the list are refused.
    pub(super) closed: bool,
    /// What automatic numbers begin with.
    pub(super) prefix: &'static str,
    /// Parts of the head that are objects of their own in `Save`.
    pub(super) parts: &'static [(&'static str, &'static [Field])],
    /// The detail table, where the form is known to have one.
    pub(super) entry: Option<Entry>,
    /// Fields of the head that a new record needs; which ones these are differs by tenant, and is (unverified).
    pub(super) required: &'static [&'static str],
}

/// The detail table of a form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    pub(super) fields: &'static [Field],
    /// Fields that a new line needs (unverified).
    pub(super) required: &'static [&'static str],
}

use Holds::{Base, Date, DateTime, Decimal, Flag, Text};

const CUSTOMER: [Field; 27] = [
    ("FCUSTID", "内码", Text),
    ("FNumber", "客户编码", Text),
    ("FName", "客户名称", Text),
    ("FShortName", "简称", Text),
    ("FCreateOrgId", "创建组织", Base("ORG_Organizations")),
    ("FUseOrgId", "使用组织", Base("ORG_Organizations")),
    ("FTRADINGCURRID", "结算币别", Base("BD_Currency")),
    ("FCOUNTRY", "国家", Base("BOS_ASSISTANTDATA_SELECT")),
    ("FPROVINCIAL", "地区", Base("BOS_ASSISTANTDATA_SELECT")),
    ("FADDRESS", "通讯地址", Text),
    ("FTEL", "联系电话", Text),
    ("FINVOICETITLE", "发票抬头", Text),
    ("FTAXREGISTERCODE", "纳税登记号", Text),
    ("FDescription", "描述", Text),
    ("FGroup", "客户分组", Base("BD_CustomerGroup")),
    ("FSELLER", "销售员", Base("BD_Saler")),
    ("FDocumentStatus", "数据状态", Text),
    ("FForbidStatus", "禁用状态", Text),
    ("FCreateDate", "创建日期", DateTime),
    ("FModifyDate", "修改日期", DateTime),
    ("FCreatorId", "创建人", Text),
    ("FModifierId", "修改人", Text),
    ("FApproveDate", "审核日期", DateTime),
    ("F_RT_Credit", "信用额度", Decimal(2)),
    ("F_RT_Key", "外部编号", Text),
    ("F_RT_Since", "合作开始日", Date),
    ("F_RT_Vip", "重点客户", Flag),
];

const MATERIAL: [Field; 13] = [
    ("FMATERIALID", "内码", Text),
    ("FNumber", "编码", Text),
    ("FName", "名称", Text),
    ("FSpecification", "规格型号", Text),
    ("FMaterialGroup", "物料分组", Base("BD_MATERIALGROUP")),
    ("FCreateOrgId", "创建组织", Base("ORG_Organizations")),
    ("FUseOrgId", "使用组织", Base("ORG_Organizations")),
    ("FGROSSWEIGHT", "毛重", Decimal(3)),
    ("FDescription", "描述", Text),
    ("FDocumentStatus", "数据状态", Text),
    ("FForbidStatus", "禁用状态", Text),
    ("FCreateDate", "创建日期", DateTime),
    ("FModifyDate", "修改日期", DateTime),
];

const MATERIAL_PARTS: [(&str, &[Field]); 1] = [(
    "SubHeadEntity",
    &[
        ("FErpClsID", "物料属性", Text),
        ("FBaseUnitId", "基本单位", Base("BD_UNIT")),
        ("FCategoryID", "存货类别", Base("BD_MATERIALCATEGORY")),
    ],
)];

const ORDER: [Field; 15] = [
    ("FID", "内码", Text),
    ("FBillNo", "单据编号", Text),
    ("FDate", "日期", Date),
    ("FBillTypeID", "单据类型", Base("BOS_BillType")),
    ("FSaleOrgId", "销售组织", Base("ORG_Organizations")),
    ("FCustId", "客户", Base("BD_Customer")),
    ("FSalerId", "销售员", Base("BD_Saler")),
    ("FNote", "备注", Text),
    ("FDocumentStatus", "单据状态", Text),
    ("FCloseStatus", "关闭状态", Text),
    ("FCancelStatus", "作废状态", Text),
    ("FCreateDate", "创建日期", DateTime),
    ("FModifyDate", "修改日期", DateTime),
    ("FApproveDate", "审核日期", DateTime),
    ("FCreatorId", "创建人", Text),
];

const ORDER_PARTS: [(&str, &[Field]); 1] = [(
    "FSaleOrderFinance",
    &[("FSettleCurrId", "结算币别", Base("BD_Currency")), ("FExchangeRate", "汇率", Decimal(6))],
)];

const ORDER_ENTRY: Entry = Entry {
    key: "FSaleOrderEntry",
    label: "订单明细",
    required: &["FMaterialId"],
    fields: &[
        ("FEntryID", "分录内码", Text),
        ("FSeq", "序号", Text),
        ("FMaterialId", "物料", Base("BD_MATERIAL")),
        ("FUnitID", "销售单位", Base("BD_UNIT")),
        ("FQty", "销售数量", Decimal(4)),
        ("FPrice", "单价", Decimal(6)),
        ("FTaxPrice", "含税单价", Decimal(6)),
        ("FEntryTaxRate", "税率", Decimal(2)),
        ("FAllAmount", "价税合计", Decimal(2)),
        ("FDeliveryDate", "要货日期", DateTime),
        ("FSettleOrgIds", "结算组织", Base("ORG_Organizations")),
        ("FReserveType", "预留类型", Text),
        ("FStockOutQty", "累计出库数量", Decimal(4)),
        ("FDeliQty", "累计发货通知数量", Decimal(4)),
        ("FInvoiceQty", "累计开票数量", Decimal(4)),
        ("FEntryNote", "备注", Text),
    ],
};

// The names of the notice's fields are (unverified).
const NOTICE: [Field; 15] = [
    ("FID", "内码", Text),
    ("FBillNo", "单据编号", Text),
    ("FDate", "日期", Date),
    ("FBillTypeID", "单据类型", Base("BOS_BillType")),
    ("FSaleOrgId", "销售组织", Base("ORG_Organizations")),
    ("FDeliveryOrgID", "发货组织", Base("ORG_Organizations")),
    ("FCustomerID", "客户", Base("BD_Customer")),
    ("FNote", "备注", Text),
    ("FDocumentStatus", "单据状态", Text),
    ("FCloseStatus", "关闭状态", Text),
    ("FCancelStatus", "作废状态", Text),
    ("FCreateDate", "创建日期", DateTime),
    ("FModifyDate", "修改日期", DateTime),
    ("FApproveDate", "审核日期", DateTime),
    ("FCreatorId", "创建人", Text),
];

const NOTICE_ENTRY: Entry = Entry {
    key: "FEntity",
    label: "明细信息",
    required: &["FMaterialID"],
    fields: &[
        ("FEntryID", "分录内码", Text),
        ("FSeq", "序号", Text),
        ("FMaterialID", "物料", Base("BD_MATERIAL")),
        ("FUnitID", "销售单位", Base("BD_UNIT")),
        ("FQty", "销售数量", Decimal(4)),
        ("FDeliveryDate", "要货日期", DateTime),
        ("FStockID", "出货仓库", Base("BD_STOCK")),
        ("FSrcType", "源单类型", Text),
        ("FSrcBillNo", "源单编号", Text),
        ("FNoteEntry", "备注", Text),
    ],
};

/// Fields of forms that have no list of their own.
const LOOSE: [Field; 19] = [
    ("FCustId", "客户", Base("BD_Customer")),
    ("FCustomerID", "客户", Base("BD_Customer")),
    ("FMaterialId", "物料", Base("BD_MATERIAL")),
    ("FUnitID", "单位", Base("BD_UNIT")),
    ("FSupplierId", "供应商", Base("BD_Supplier")),
    ("FStockId", "仓库", Base("BD_STOCK")),
    ("FSettleCurrId", "结算币别", Base("BD_Currency")),
    ("FDate", "日期", Date),
    ("FQty", "数量", Decimal(4)),
    ("FRealQty", "实发数量", Decimal(4)),
    ("FPrice", "单价", Decimal(6)),
    ("FTaxPrice", "含税单价", Decimal(6)),
    ("FEntryTaxRate", "税率", Decimal(2)),
    ("FAllAmount", "价税合计", Decimal(2)),
    ("FDeliveryDate", "要货日期", DateTime),
    ("FDocumentStatus", "单据状态", Text),
    ("FCreateDate", "创建日期", DateTime),
    ("FModifyDate", "修改日期", DateTime),
    ("FApproveDate", "审核日期", DateTime),
];

/// The form of this id; any id is a form.
pub(super) fn form(id: &str) -> Form {
    let base = Form {
        label: "",
        pk: "FID",
        number: if id.starts_with("BD_") { "FNumber" } else { "FBillNo" },
        fields: &LOOSE,
        closed: false,
        prefix: "NO",
        parts: &[],
        entry: None,
        required: &[],
    };
    match id {
        "BD_Customer" => Form {
            label: "客户",
            pk: "FCUSTID",
            fields: &CUSTOMER,
            closed: true,
            required: &["FName"],
            prefix: "CUST",
            ..base
        },
        "BD_MATERIAL" => Form {
            label: "物料",
            pk: "FMATERIALID",
            fields: &MATERIAL,
            closed: true,
            required: &["FName"],
            prefix: "M",
            parts: &MATERIAL_PARTS,
            ..base
        },
        "BD_Supplier" => Form { label: "供应商", pk: "FSupplierId", prefix: "VEN", ..base },
        "BD_STOCK" => Form { label: "仓库", pk: "FStockId", prefix: "CK", ..base },
        "BD_UNIT" => Form { label: "计量单位", pk: "FUNITID", ..base },
        "BD_Currency" => Form { label: "币别", pk: "FCURRENCYID", ..base },
        "BD_Department" => Form { label: "部门", pk: "FDEPTID", ..base },
        "ORG_Organizations" => Form { label: "组织机构", pk: "FOrgID", number: "FNumber", ..base },
        "SAL_SaleOrder" => Form {
            label: "销售订单",
            fields: &ORDER,
            closed: true,
            required: &["FCustId"],
            prefix: "XSDD",
            parts: &ORDER_PARTS,
            entry: Some(ORDER_ENTRY),
            ..base
        },
        "SAL_DELIVERYNOTICE" => Form {
            label: "发货通知单",
            fields: &NOTICE,
            closed: true,
            required: &["FCustomerID"],
            prefix: "FHTZD",
            entry: Some(NOTICE_ENTRY),
            ..base
        },
        _ => base,
    }
}

impl Form {
    /// The field of this key, of the head, of a part or of a line; the case of letters differs between tenants and does
    /// not matter.
    pub(super) fn field(&self, key: &str) -> Option<&'static Field> {
        let parts = self.parts.iter().flat_map(|(_, fields)| fields.iter());
        let lines = self.entry.into_iter().flat_map(|entry| entry.fields.iter());
        self.fields.iter().chain(parts).chain(lines).find(|(known, ..)| known.eq_ignore_ascii_case(key))
    }

    /// Whether a write may have such a member here: custom fields begin with `F_`, parts and lines have their own fields.
    pub(super) fn may_have(&self, key: &str) -> bool {
        let is = |known: &str| known.eq_ignore_ascii_case(key);
        !self.closed
            || key.starts_with("F_")
            || self.fields.iter().any(|(known, ..)| is(known))
            || self.container(key).is_some()
    }

    /// Whether a query may ask for such a key: fields of all levels, and `EntryKey_FEntryID`.
    pub(super) fn may_ask(&self, key: &str) -> bool {
        !self.closed || key.starts_with("F_") || self.field(key).is_some() || self.is_line_key(key)
    }

    /// The form's own spelling of a part's or a detail table's key.
    pub(super) fn container(&self, key: &str) -> Option<&'static str> {
        let parts = self.parts.iter().map(|(known, _)| *known);
        parts.chain(self.entry.map(|entry| entry.key)).find(|known| known.eq_ignore_ascii_case(key))
    }

    /// Whether a key can only be that of a detail line.
    pub(super) fn is_line_key(&self, key: &str) -> bool {
        self.entry.is_some_and(|entry| {
            let of_line = |key: &str| entry.fields.iter().any(|(known, ..)| known.eq_ignore_ascii_case(key));
            let own = prefixed(key, entry.key);
            own.is_some_and(of_line)
                || (of_line(key) && !self.fields.iter().any(|(known, ..)| known.eq_ignore_ascii_case(key)))
        })
    }

    /// The form of what lies inside a part or a detail line.
    pub(super) fn inside(&self, key: &str) -> Form {
        let none = Form { parts: &[], entry: None, required: &[], ..*self };
        if let Some(entry) = self.entry.filter(|entry| entry.key.eq_ignore_ascii_case(key)) {
            return Form { fields: entry.fields, required: entry.required, label: entry.label, ..none };
        }
        match self.parts.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)) {
            Some((_, fields)) => Form { fields, ..none },
            None => none,
        }
    }
}

/// `FEntryID` of `FSaleOrderEntry_FEntryID`, where the entry's key fits in whatever case.
pub(super) fn prefixed<'a>(key: &'a str, entry: &str) -> Option<&'a str> {
    let start = key.get(..entry.len())?;
    if start.eq_ignore_ascii_case(entry) { key.get(entry.len()..)?.strip_prefix('_') } else { None }
}

/// A member by its key, in whatever case.
pub(super) fn member<'a>(record: &'a Record, key: &str) -> Option<(&'a String, &'a Value)> {
    record.get_key_value(key).or_else(|| record.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)))
}

/// The name that `View` has for a key.
pub(super) fn property(key: &str) -> &str {
    match key.strip_prefix('F') {
        Some(rest) if !rest.is_empty() => rest,
        _ => key,
    }
}

//! The forms that are known: keys, kinds, references; and `QueryBusinessInfo`.

use serde_json::{Value, json};

use super::response_status;
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked},
        state::State,
    },
};

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
    /// Whether a name is required.
    pub(super) named: bool,
    /// What automatic numbers begin with.
    pub(super) prefix: &'static str,
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

const MATERIAL: [Field; 16] = [
    ("FMATERIALID", "内码", Text),
    ("FNumber", "编码", Text),
    ("FName", "名称", Text),
    ("FSpecification", "规格型号", Text),
    ("FMaterialGroup", "物料分组", Base("BD_MATERIALGROUP")),
    ("FCreateOrgId", "创建组织", Base("ORG_Organizations")),
    ("FUseOrgId", "使用组织", Base("ORG_Organizations")),
    ("FErpClsID", "物料属性", Text),
    ("FBaseUnitId", "基本单位", Base("BD_UNIT")),
    ("FCategoryID", "存货类别", Base("BD_MATERIALCATEGORY")),
    ("FGROSSWEIGHT", "毛重", Decimal(3)),
    ("FDescription", "描述", Text),
    ("FDocumentStatus", "数据状态", Text),
    ("FForbidStatus", "禁用状态", Text),
    ("FCreateDate", "创建日期", DateTime),
    ("FModifyDate", "修改日期", DateTime),
];

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
        named: false,
        prefix: "NO",
    };
    match id {
        "BD_Customer" => Form {
            label: "客户",
            pk: "FCUSTID",
            fields: &CUSTOMER,
            closed: true,
            named: true,
            prefix: "CUST",
            ..base
        },
        "BD_MATERIAL" => Form {
            label: "物料",
            pk: "FMATERIALID",
            fields: &MATERIAL,
            closed: true,
            named: true,
            prefix: "M",
            ..base
        },
        "BD_Supplier" => Form { label: "供应商", pk: "FSupplierId", prefix: "VEN", ..base },
        "BD_STOCK" => Form { label: "仓库", pk: "FStockId", prefix: "CK", ..base },
        "BD_UNIT" => Form { label: "计量单位", pk: "FUNITID", ..base },
        "BD_Currency" => Form { label: "币别", pk: "FCURRENCYID", ..base },
        "BD_Department" => Form { label: "部门", pk: "FDEPTID", ..base },
        "ORG_Organizations" => Form { label: "组织机构", pk: "FOrgID", number: "FNumber", ..base },
        "SAL_SaleOrder" => Form { label: "销售订单", prefix: "XSDD", ..base },
        _ => base,
    }
}

impl Form {
    /// The field of this key; the case of letters differs between tenants and does not matter.
    pub(super) fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|(known, ..)| known.eq_ignore_ascii_case(key))
    }

    /// Whether the form may have such a field: custom fields begin with `F_`.
    pub(super) fn may_have(&self, key: &str) -> bool {
        !self.closed || key.starts_with("F_") || self.field(key).is_some()
    }
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

/// `QueryBusinessInfo`: the fields of a form; for a form without a list, those that its records have.
pub(super) fn describe(state: &mut State, asked: &Asked) -> Answer {
    let form = form(&asked.object);
    let mut heads: Vec<Value> = form.fields.iter().map(|field| described(&form, field)).collect();
    let mut entries: Vec<Value> = Vec::new();
    if !form.closed {
        heads.insert(0, described(&form, &(form.number, "编码", Text)));
        heads.insert(0, described(&form, &(form.pk, "内码", Text)));
        for row in state.table(&asked.object).rows().take(100) {
            for (key, value) in &row.fields {
                let known = |list: &[Value]| list.iter().any(|field| field.get("Key") == Some(&json!(key)));
                if value.is_array() && !known(&entries) {
                    let fields: Vec<Value> = value
                        .get(0)
                        .and_then(Value::as_object)
                        .into_iter()
                        .flat_map(|line| line.keys())
                        .map(|key| loose(&form, key))
                        .collect();
                    entries.push(json!({"Key": key, "ParentKey": null, "EntryName": property(key),
                        "Name": [{"Key": 2052, "Value": key}], "Fields": fields}));
                } else if !value.is_array() && !known(&heads) {
                    heads.push(loose(&form, key));
                }
            }
        }
    }
    let mut all = vec![json!({"Key": "FBillHead", "ParentKey": null, "EntryName": "BillHead",
        "Name": [{"Key": 2052, "Value": "单据头"}], "Fields": heads})];
    all.extend(entries);
    let label = if form.label.is_empty() { asked.object.as_str() } else { form.label };
    let info =
        json!({"Id": asked.object, "Name": [{"Key": 2052, "Value": label}], "Entrys": all, "Operations": []});
    Answer::ok(&json!({"Result": {"ResponseStatus": response_status(&[]), "NeedReturnData": info}}))
}

fn loose(form: &Form, key: &str) -> Value {
    match form.field(key) {
        Some((_, label, holds)) => described_as(form, key, label, *holds),
        None => described_as(form, key, key, Text),
    }
}

fn described(form: &Form, (key, label, holds): &Field) -> Value {
    described_as(form, key, label, *holds)
}

/// The numbers of the field types are not published; these are illustrative.
fn described_as(form: &Form, key: &str, label: &str, holds: Holds) -> Value {
    let (field_type, element, lookup) = match holds {
        Text => (231, 1, Value::Null),
        Decimal(_) => (232, 6, Value::Null),
        Flag => (167, 8, Value::Null),
        Date => (61, 4, Value::Null),
        DateTime => (61, 5, Value::Null),
        Base(target) => (56, 13, json!(target)),
    };
    json!({
        "Key": key, "Name": [{"Key": 2052, "Value": label}], "FieldName": key.to_uppercase(),
        "PropertyName": property(key), "FieldType": field_type, "ElementType": element,
        "MustInput": i32::from(form.named && key == "FName"), "LookUpObjectFormId": lookup,
    })
}

//! The fields of the preset objects that are known, and what the system makes of a value.

use serde_json::{Value, json};

use super::{INVALID, Refusal};
use crate::simulator::value::{millis_of, round_decimal, text_of};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// A text of this type (`text`, `phone_number`, `object_reference`, …).
    Text(&'static str),
    /// The `_id` of a record of this object, which must exist where the object is simulated.
    Reference(&'static str),
    /// The `_id` of the master, of this object, that the record is a detail of.
    Master(&'static str),
    /// A decimal of this type (`currency`, `number`, `percentile`) with so many places, kept as a string.
    Decimal(&'static str, usize),
    Flag,
    /// A day in GMT+8, as the epoch milliseconds of its beginning.
    Date,
    /// Epoch milliseconds.
    DateTime,
    /// A list of texts of this type (`employee`, `department`, `select_many`).
    List(&'static str),
}

impl Holds {
    /// The type as `describe` names it.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Holds::Text(name) | Holds::Decimal(name, _) | Holds::List(name) => name,
            Holds::Reference(_) => "object_reference",
            Holds::Master(_) => "master_detail",
            Holds::Flag => "true_or_false",
            Holds::Date => "date",
            Holds::DateTime => "date_time",
        }
    }
}

/// A field: name, label, what it holds.
pub(super) type Field = (&'static str, &'static str, Holds);

use Holds::{Date, DateTime, Decimal, Flag, List, Master, Reference, Text};

/// Fields of every object.
pub(super) const SHARED: [Field; 18] = [
    ("_id", "唯一标识", Text("text")),
    ("name", "名称", Text("text")),
    ("owner", "负责人", List("employee")),
    ("record_type", "业务类型", Text("record_type")),
    ("life_status", "生命状态", Text("select_one")),
    ("lock_status", "锁定状态", Text("select_one")),
    ("is_deleted", "是否删除", Flag),
    ("create_time", "创建时间", DateTime),
    ("created_by", "创建人", List("employee")),
    ("last_modified_time", "最后修改时间", DateTime),
    ("last_modified_by", "最后修改人", List("employee")),
    ("owner_department", "负责人主属部门", Text("text")),
    ("data_own_department", "归属部门", List("department")),
    ("object_describe_api_name", "对象", Text("text")),
    ("version", "版本", Text("text")),
    ("out_owner", "外部负责人", List("employee")),
    ("remark", "备注", Text("long_text")),
    ("tenant_id", "企业", Text("text")),
];

/// Fields that the system itself writes; what a caller sends for them is dropped.
pub(super) const SYSTEM: [&str; 9] = [
    "_id",
    "is_deleted",
    "life_status",
    "lock_status",
    "last_modified_time",
    "last_modified_by",
    "object_describe_api_name",
    "version",
    "tenant_id",
];

const ACCOUNT: [Field; 23] = [
    ("account_no", "客户编号", Text("auto_number")),
    ("account_type", "客户类型", Text("select_one")),
    ("account_level", "客户级别", Text("select_one")),
    ("account_source", "来源", Text("select_one")),
    ("industry_level1", "一级行业", Text("select_one")),
    ("tel", "电话", Text("phone_number")),
    ("email", "邮件", Text("email")),
    ("url", "网址", Text("url")),
    ("country", "国家", Text("country")),
    ("province", "省", Text("province")),
    ("city", "市", Text("city")),
    ("district", "区", Text("district")),
    ("address", "详细地址", Text("text")),
    ("high_seas_id", "所属公海", Reference("HighSeasObj")),
    ("parent_account_id", "上级客户", Reference("AccountObj")),
    ("field_key__c", "外部编号", Text("text")),
    ("field_credit__c", "信用额度", Decimal("currency", 2)),
    ("field_discount__c", "折扣", Decimal("percentile", 1)),
    ("field_staff__c", "人数", Decimal("number", 0)),
    ("field_since__c", "合作开始日", Date),
    ("field_visited__c", "最近拜访", DateTime),
    ("field_vip__c", "重点客户", Flag),
    ("field_tags__c", "标签", List("select_many")),
];

const CONTACT: [Field; 16] = [
    ("account_id", "客户", Reference("AccountObj")),
    ("tel1", "电话1", Text("phone_number")),
    ("tel2", "电话2", Text("phone_number")),
    ("tel3", "电话3", Text("phone_number")),
    ("tel4", "电话4", Text("phone_number")),
    ("tel5", "电话5", Text("phone_number")),
    ("mobile1", "手机1", Text("phone_number")),
    ("mobile2", "手机2", Text("phone_number")),
    ("mobile3", "手机3", Text("phone_number")),
    ("mobile4", "手机4", Text("phone_number")),
    ("mobile5", "手机5", Text("phone_number")),
    ("email", "邮件", Text("email")),
    ("job_title", "职务", Text("text")),
    ("department", "部门", Text("text")),
    ("birthday", "生日", Date),
    ("field_key__c", "外部编号", Text("text")),
];

// The names of the following fields are (unverified) but for `order_time`; the page has them from the vendor's own list.

const ORDER: [Field; 10] = [
    ("account_id", "客户", Reference("AccountObj")),
    ("order_time", "下单日期", DateTime),
    ("order_amount", "销售订单金额", Decimal("currency", 2)),
    ("order_status", "状态", Text("select_one")),
    ("settle_type", "结算方式", Text("select_one")),
    ("ship_to_id", "收货人", Reference("ContactObj")),
    ("ship_to_add", "收货地址", Text("text")),
    ("ship_to_tel", "收货人电话", Text("phone_number")),
    ("delivery_date", "交货日期", Date),
    ("field_key__c", "外部编号", Text("text")),
];

const ORDER_LINE: [Field; 9] = [
    ("order_id", "销售订单", Master("SalesOrderObj")),
    ("product_id", "产品", Reference("ProductObj")),
    ("quantity", "数量", Decimal("number", 4)),
    ("price", "价格", Decimal("currency", 2)),
    ("sales_price", "销售单价", Decimal("currency", 2)),
    ("discount", "折扣", Decimal("percentile", 2)),
    ("subtotal", "小计", Decimal("currency", 2)),
    ("unit", "单位", Text("select_one")),
    ("field_key__c", "外部编号", Text("text")),
];

const PRODUCT: [Field; 8] = [
    ("product_code", "产品编码", Text("text")),
    ("category", "分类", Text("select_one")),
    ("unit", "单位", Text("select_one")),
    ("price", "标准价格", Decimal("currency", 2)),
    ("product_status", "上下架", Text("select_one")),
    ("product_spec", "规格属性", Text("text")),
    ("barcode", "条形码", Text("text")),
    ("field_key__c", "外部编号", Text("text")),
];

const DELIVERY: [Field; 8] = [
    ("sales_order_id", "销售订单", Reference("SalesOrderObj")),
    ("account_id", "客户", Reference("AccountObj")),
    ("delivery_warehouse_id", "发货仓库", Reference("WarehouseObj")),
    ("delivery_date", "发货日期", Date),
    ("express_org", "物流公司", Text("select_one")),
    ("express_order_id", "物流单号", Text("text")),
    ("status", "状态", Text("select_one")),
    ("field_key__c", "外部编号", Text("text")),
];

const DELIVERY_LINE: [Field; 4] = [
    ("delivery_note_id", "发货单", Master("DeliveryNoteObj")),
    ("product_id", "产品", Reference("ProductObj")),
    ("delivery_num", "本次发货数", Decimal("number", 4)),
    ("field_key__c", "外部编号", Text("text")),
];

/// The objects whose fields are known: a closed list, so that an unknown field is refused.
pub(super) const KNOWN: [&str; 7] = [
    "AccountObj",
    "ContactObj",
    "ProductObj",
    "SalesOrderObj",
    "SalesOrderProductObj",
    "DeliveryNoteObj",
    "DeliveryNoteProductObj",
];

/// The object's own fields, and whether the list is closed (an unknown field is then refused).
pub(super) fn own(object: &str) -> (&'static [Field], bool) {
    match object {
        "AccountObj" => (&ACCOUNT, true),
        "ContactObj" => (&CONTACT, true),
        "ProductObj" => (&PRODUCT, true),
        "SalesOrderObj" => (&ORDER, true),
        "SalesOrderProductObj" => (&ORDER_LINE, true),
        "DeliveryNoteObj" => (&DELIVERY, true),
        "DeliveryNoteProductObj" => (&DELIVERY_LINE, true),
        _ => (&[], false),
    }
}

/// Whether a record of this object needs a name; documents and details number themselves (unverified).
pub(super) fn needs_name(object: &str) -> bool {
    matches!(object, "AccountObj" | "ContactObj" | "ProductObj")
}

/// The fields that a record cannot be made without, beside its name (unverified but for the master).
pub(super) fn required(object: &str) -> &'static [&'static str] {
    match object {
        "SalesOrderObj" => &["account_id"],
        "SalesOrderProductObj" => &["order_id", "product_id"],
        "DeliveryNoteObj" => &["sales_order_id"],
        "DeliveryNoteProductObj" => &["delivery_note_id", "product_id"],
        _ => &[],
    }
}

/// The fields of an object that name a record of another one, with that object.
pub(super) fn references(object: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    own(object).0.iter().filter_map(|(name, _, holds)| match holds {
        Reference(target) | Master(target) => Some((*name, *target)),
        _ => None,
    })
}

/// The master field of a detail object, with the master's object.
pub(super) fn master_of(detail: &str) -> Option<(&'static str, &'static str)> {
    own(detail).0.iter().find_map(|(name, _, holds)| match holds {
        Master(target) => Some((*name, *target)),
        _ => None,
    })
}

/// The detail object of a master.
pub(super) fn detail_of(master: &str) -> Option<&'static str> {
    KNOWN.into_iter().find(|detail| master_of(detail).is_some_and(|(_, target)| target == master))
}

/// The field of this name, where it is known.
pub(super) fn field(object: &str, name: &str) -> Option<&'static Field> {
    own(object).0.iter().chain(SHARED.iter()).find(|(known, ..)| *known == name)
}

/// Whether an object may have a field of this name: custom fields may be called anything that ends in `__c`.
pub(super) fn may_have(object: &str, name: &str) -> bool {
    let base = ["__r", "__l", "__o"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    !own(object).1 || field(object, base).is_some() || base.ends_with("__c")
}

/// What the system keeps of a value; `None` is nothing (the field is then absent from what it shows).
pub(super) fn kept(object: &str, name: &str, value: &Value) -> Result<Option<Value>, Refusal> {
    let refuse = || Refusal::new(INVALID, format!("the value of the field {name} is illegal"));
    if value.is_null() {
        return Ok(None);
    }
    let Some((_, _, holds)) = field(object, name) else {
        return Ok(match value {
            Value::String(text) => trimmed(text),
            other => Some(other.clone()),
        });
    };
    Ok(match (holds, value) {
        (_, Value::String(text)) if text.trim().is_empty() => None,
        (Text(_) | Reference(_) | Master(_), Value::String(text)) => trimmed(text),
        (Reference(_) | Master(_), _) => return Err(refuse()),
        (Text(_), _) => Some(Value::String(text_of(value).ok_or_else(refuse)?)),
        (Decimal(_, scale), _) => {
            let text = text_of(value).ok_or_else(refuse)?;
            Some(Value::String(round_decimal(&text, *scale).ok_or_else(refuse)?))
        }
        (Flag, Value::Bool(_)) => Some(value.clone()),
        (Flag, Value::String(text)) if text == "true" || text == "false" => Some(json!(text == "true")),
        (Flag, _) => return Err(refuse()),
        (Date, _) => {
            const DAY: i64 = 86_400_000;
            const EAST: i64 = 8 * 3_600_000;
            let local = millis_of(value).and_then(|ms| ms.checked_add(EAST)).ok_or_else(refuse)?;
            Some(json!(local - local.rem_euclid(DAY) - EAST))
        }
        (DateTime, _) => Some(json!(millis_of(value).ok_or_else(refuse)?)),
        (List(_), Value::Array(items)) if items.is_empty() => None,
        (List(_), Value::Array(items)) if items.iter().all(|item| text_of(item).is_some()) => {
            Some(items.iter().filter_map(text_of).map(Value::String).collect())
        }
        // People and departments are lists, also when single; a bare text is taken as a list of one (unverified).
        (List(_), Value::String(text)) => Some(json!([text])),
        (List(_), _) => return Err(refuse()),
    })
}

fn trimmed(text: &str) -> Option<Value> {
    let text = text.trim();
    if text.is_empty() { None } else { Some(Value::String(text.to_owned())) }
}

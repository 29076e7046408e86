//! Links: local key ↔ remote id, with the shadow.

use std::collections::{BTreeSet, HashMap};
use std::time::SystemTime;

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::model::record::Record;
use crate::store::StoreError;

/// The state of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// A create was about to be sent; whether the record exists is not known.
    Creating,
    Linked,
    /// One side deleted its half and the policy keeps the other: no twins any more.
    Kept,
}

/// A row and its twin.
#[derive(Debug, Clone)]
pub struct Link {
    pub key: String,
    pub state: LinkState,
    pub remote_id: Option<String>,
    /// `None` while it is not known yet.
    pub shadow: Option<Record>,
    pub version: Option<String>,
    pub remote_ms: Option<i64>,
    /// The number or code by which other records refer to this one, where that is not its id.
    pub reference: Option<String>,
    pub attempt: Option<Uuid>,
    pub attempted_at: Option<SystemTime>,
    pub intent: Option<Record>,
    pub revision: i64,
    pub settled_at: SystemTime,
    /// Where the record stands in its lifecycle, as last known.
    pub stage: Option<String>,
    /// Fields that went to the record and did not come back since.
    pub gave: Vec<String>,
    /// The row was outside of the filter when it was looked at last.
    pub outside: bool,
    /// Lines that an update was about to add, and whose ids nothing has told yet; by collection.
    pub lines_sent: Option<Record>,
    pub lines_sent_at: Option<SystemTime>,
}

const COLUMNS: &str = "key, state, remote_id, shadow, version, remote_ms, attempt, attempted_at, intent, revision, settled_at, reference, stage, gave, outside, lines_sent, lines_sent_at";

impl Link {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let state: &str = row.get(1);
        let json = |index: usize| row.get::<_, Option<Json<Record>>>(index).map(|json| json.0);
        Ok(Self {
            key: row.get(0),
            state: match state {
                "creating" => LinkState::Creating,
                "linked" => LinkState::Linked,
                "kept" => LinkState::Kept,
                other => return Err(StoreError::Unexpected(format!("link state {other}"))),
            },
            remote_id: row.get(2),
            shadow: json(3),
            version: row.get(4),
            remote_ms: row.get(5),
            attempt: row.get(6),
            attempted_at: row.get(7),
            intent: json(8),
            revision: row.get(9),
            settled_at: row.get(10),
            reference: row.get(11),
            stage: row.get(12),
            gave: row.get::<_, Option<Vec<String>>>(13).unwrap_or_default(),
            outside: row.get(14),
            lines_sent: json(15),
            lines_sent_at: row.get(16),
        })
    }
}

/// The links of these keys.
///
/// # Errors
/// When the statement fails.
pub async fn links_by_key(
    client: &impl GenericClient,
    binding: i32,
    keys: &[String],
) -> Result<HashMap<String, Link>, StoreError> {
    let rows = client
        .query(
            &format!("select {COLUMNS} from rowtwin_private.link where binding_id = $1 and key = any ($2)"),
            &[&binding, &keys],
        )
        .await?;
    rows.iter().map(|row| Link::from_row(row).map(|link| (link.key.clone(), link))).collect()
}

fn by_remote_id(rows: &[Row]) -> Result<HashMap<String, Link>, StoreError> {
    let mut links = HashMap::new();
    for row in rows {
        let link = Link::from_row(row)?;
        if let Some(id) = link.remote_id.clone() {
            links.insert(id, link);
        }
    }
    Ok(links)
}

/// The links of these remote ids, locked until the transaction ends.
///
/// # Errors
/// When the statement fails.
pub async fn lock_links(
    client: &impl GenericClient,
    binding: i32,
    ids: &[String],
) -> Result<HashMap<String, Link>, StoreError> {
    let rows = client
        .query(
            &format!(
                "select {COLUMNS} from rowtwin_private.link
                 where binding_id = $1 and remote_id = any ($2) order by key for update"
            ),
            &[&binding, &ids],
        )
        .await?;
    by_remote_id(&rows)
}

/// The next links behind `after` in the order of their keys: those of twins, and the kept ones.
///
/// # Errors
/// When the statement fails.
pub async fn page_of_links(
    client: &impl GenericClient,
    binding: i32,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Link>, StoreError> {
    let rows = client
        .query(
            &format!(
                "select {COLUMNS} from rowtwin_private.link
                 where binding_id = $1 and key > $2 and state <> 'creating' order by key limit $3"
            ),
            &[&binding, &after.unwrap_or_default(), &limit],
        )
        .await?;
    rows.iter().map(Link::from_row).collect()
}

/// Gives a link to another key: the row's primary key has changed. False when there is no such link, or the new key
/// has one already.
///
/// # Errors
/// When the statement fails.
pub async fn move_link(
    client: &impl GenericClient,
    binding: i32,
    old: &str,
    new: &str,
) -> Result<bool, StoreError> {
    let moved = client
        .execute(
            "update rowtwin_private.link l set key = $3, revision = revision + 1, settled_at = rowtwin_private.clock()
             where binding_id = $1 and key = $2
               and not exists (select 1 from rowtwin_private.link x where x.binding_id = $1 and x.key = $3)",
            &[&binding, &old, &new],
        )
        .await?;
    Ok(moved > 0)
}

/// The ids among these that no link has and that do not wait in the inbox.
///
/// # Errors
/// When the statement fails.
pub async fn unlinked_ids(
    client: &impl GenericClient,
    binding: i32,
    ids: &[String],
) -> Result<Vec<String>, StoreError> {
    let rows = client
        .query(
            "select id from unnest($2::text[]) id
             where not exists (select 1 from rowtwin_private.link l where l.binding_id = $1 and l.remote_id = id)
               and not exists (select 1 from rowtwin_private.inbox i where i.binding_id = $1 and i.remote_id = id)",
            &[&binding, &ids],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The links of these remote ids, by id, seen without locks.
///
/// # Errors
/// When the statement fails.
pub async fn links_by_remote(
    client: &impl GenericClient,
    binding: i32,
    ids: &[String],
) -> Result<HashMap<String, Link>, StoreError> {
    let rows = client
        .query(
            &format!(
                "select {COLUMNS} from rowtwin_private.link where binding_id = $1 and remote_id = any ($2)"
            ),
            &[&binding, &ids],
        )
        .await?;
    by_remote_id(&rows)
}

/// What a page says about one link.
#[derive(Debug, Clone)]
pub struct LinkUpdate {
    pub key: String,
    pub remote_id: String,
    pub shadow: Record,
    pub version: Option<String>,
    pub remote_ms: Option<i64>,
    pub reference: Option<String>,
    /// Where the record stands; none leaves what is known.
    pub stage: Option<String>,
    /// Lines that were sent may still turn up in the remote: they stay remembered.
    pub keeps_sent: bool,
}

/// Writes links with a known shadow; new ones are made.
///
/// # Errors
/// When a statement fails, in particular when a remote id belongs to another key.
pub async fn save_links(
    client: &impl GenericClient,
    binding: i32,
    updates: &[LinkUpdate],
) -> Result<(), StoreError> {
    if updates.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = updates.iter().map(|update| update.key.as_str()).collect();
    let ids: Vec<&str> = updates.iter().map(|update| update.remote_id.as_str()).collect();
    let shadows: Vec<Json<&Record>> = updates.iter().map(|update| Json(&update.shadow)).collect();
    let versions: Vec<Option<&str>> = updates.iter().map(|update| update.version.as_deref()).collect();
    let stamps: Vec<Option<i64>> = updates.iter().map(|update| update.remote_ms).collect();
    let references: Vec<Option<&str>> = updates.iter().map(|update| update.reference.as_deref()).collect();
    let stages: Vec<Option<&str>> = updates.iter().map(|update| update.stage.as_deref()).collect();
    let seen: Vec<&str> =
        updates.iter().filter(|update| !update.keeps_sent).map(|update| update.key.as_str()).collect();
    client
        .execute(
            "insert into rowtwin_private.link as l
               (binding_id, key, state, remote_id, shadow, version, remote_ms, reference, stage, settled_at)
             select $1, u.key, 'linked', u.id, u.shadow, u.version, u.stamp, u.reference, u.stage, rowtwin_private.clock()
             from unnest($2::text[], $3::text[], $4::jsonb[], $5::text[], $6::bigint[], $7::text[], $8::text[])
                    u (key, id, shadow, version, stamp, reference, stage)
             order by u.key
             on conflict (binding_id, key) do update set
               state = 'linked', remote_id = excluded.remote_id, shadow = excluded.shadow, version = excluded.version,
               remote_ms = excluded.remote_ms, reference = coalesce(excluded.reference, l.reference),
               stage = coalesce(excluded.stage, l.stage), attempt = null, attempted_at = null, intent = null,
               lines_sent = case when l.key = any ($9) then null else l.lines_sent end,
               lines_sent_at = case when l.key = any ($9) then null else l.lines_sent_at end,
               revision = l.revision + 1, settled_at = excluded.settled_at",
            &[&binding, &keys, &ids, &shadows, &versions, &stamps, &references, &stages, &seen],
        )
        .await?;
    Ok(())
}

/// Remembers lines that updates are about to add: if the answer is lost they are looked for before they are sent again.
///
/// # Errors
/// When the statement fails; nothing may be sent then.
pub async fn note_lines_sent(
    client: &impl GenericClient,
    binding: i32,
    lines: &[(String, Record)],
) -> Result<(), StoreError> {
    if lines.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = lines.iter().map(|(key, _)| key.as_str()).collect();
    let sent: Vec<Json<&Record>> = lines.iter().map(|(_, sent)| Json(sent)).collect();
    client.execute("select rowtwin_private.note_lines_sent($1, $2, $3)", &[&binding, &keys, &sent]).await?;
    Ok(())
}

/// Removes links.
///
/// # Errors
/// When the statement fails.
pub async fn remove_links(
    client: &impl GenericClient,
    binding: i32,
    keys: &[String],
) -> Result<(), StoreError> {
    client
        .execute(
            "delete from rowtwin_private.link where binding_id = $1 and key = any ($2)",
            &[&binding, &keys],
        )
        .await?;
    Ok(())
}

/// Turns links into kept ones: the record is gone or left alone, and the row stays.
///
/// # Errors
/// When the statement fails.
pub async fn keep_links(
    client: &impl GenericClient,
    binding: i32,
    keys: &[String],
) -> Result<(), StoreError> {
    client
        .execute(
            "update rowtwin_private.link set state = 'kept', attempt = null, revision = revision + 1,
                    settled_at = rowtwin_private.clock()
             where binding_id = $1 and key = any ($2)",
            &[&binding, &keys],
        )
        .await?;
    Ok(())
}

/// The keys among these that are on their way to the remote right now.
///
/// # Errors
/// When the statement fails.
pub async fn keys_in_flight(
    client: &impl GenericClient,
    binding: i32,
    keys: &[String],
) -> Result<BTreeSet<String>, StoreError> {
    let rows = client
        .query(
            "select key from rowtwin_private.outbox where binding_id = $1 and key = any ($2) and state = 'sending'",
            &[&binding, &keys],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What capture has told of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// When its row was changed.
    pub at: SystemTime,
    /// Capture saw the row's own delete. A row that is missing without it has another key now, or was truncated, and
    /// capture has not come to that.
    pub gone: bool,
}

/// The marks of these keys; those without one are left out.
///
/// # Errors
/// When the statement fails.
pub async fn marks_of(
    client: &impl GenericClient,
    binding: i32,
    keys: &[String],
) -> Result<HashMap<String, Marked>, StoreError> {
    let rows = client
        .query(
            "select key, changed_at, coalesce(row_gone, false) from rowtwin_private.outbox
             where binding_id = $1 and key = any ($2)",
            &[&binding, &keys],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), Marked { at: row.get(1), gone: row.get(2) })).collect())
}

/// The fields of these keys that wait for a person to decide a conflict.
///
/// # Errors
/// When the statement fails.
pub async fn held_fields(
    client: &impl GenericClient,
    binding: i32,
    keys: &[String],
) -> Result<HashMap<String, BTreeSet<String>>, StoreError> {
    let rows = client
        .query(
            "select key, field from rowtwin_private.conflict
             where binding_id = $1 and key = any ($2) and winner = 'held' and resolved_at is null",
            &[&binding, &keys],
        )
        .await?;
    let mut held: HashMap<String, BTreeSet<String>> = HashMap::new();
    for row in &rows {
        held.entry(row.get(0)).or_default().insert(row.get(1));
    }
    Ok(held)
}

/// A create whose answer is not known yet.
#[derive(Debug, Clone)]
pub struct Doubt {
    pub key: String,
    pub attempted_at: SystemTime,
    pub intent: Record,
    /// Parked until a person says what became of it.
    pub parked: bool,
}

/// The creates of a binding whose answer is not known yet.
///
/// # Errors
/// When the statement fails.
pub async fn doubts(client: &impl GenericClient, binding: i32) -> Result<Vec<Doubt>, StoreError> {
    let rows = client
        .query(
            "select l.key, l.attempted_at, l.intent, coalesce(o.state = 'doubtful', false)
             from rowtwin_private.link l
             left join rowtwin_private.outbox o on o.binding_id = l.binding_id and o.key = l.key
             where l.binding_id = $1 and l.state = 'creating'",
            &[&binding],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| Doubt {
            key: row.get(0),
            attempted_at: row.get(1),
            intent: row.get::<_, Option<Json<Record>>>(2).map(|json| json.0).unwrap_or_default(),
            parked: row.get(3),
        })
        .collect())
}

/// How many rows are linked.
///
/// # Errors
/// When the statement fails.
pub async fn count_linked(client: &impl GenericClient, binding: i32) -> Result<usize, StoreError> {
    let row = client
        .query_one(
            "select count(*) from rowtwin_private.link where binding_id = $1 and state = 'linked'",
            &[&binding],
        )
        .await?;
    Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

//! What the database itself is and holds: settings, tables, publication.

use serde::Serialize;

use crate::store::mirror::{KeyColumn, Table, quote};
use crate::store::{Store, StoreError};

/// A column of a mirror table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// As `format_type` writes it.
    pub type_name: String,
    pub not_null: bool,
    pub has_default: bool,
    pub generated: bool,
    /// The default as SQL, where it is no number from a sequence.
    pub default: Option<String>,
}

/// Server settings that matter to logical replication.
#[derive(Debug, Clone, Serialize)]
pub struct ServerFacts {
    pub version_num: i32,
    pub wal_level: String,
    pub max_replication_slots: i64,
    pub used_replication_slots: i64,
    pub max_slot_wal_keep_size_mb: i64,
    pub may_replicate: bool,
    pub may_create: bool,
    pub user: String,
    pub database: String,
}

impl Store {
    /// Reads the settings that matter.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn server_facts(&self) -> Result<ServerFacts, StoreError> {
        let row = self
            .client()
            .await?
            .query_one(
                "select current_setting('server_version_num')::int, current_setting('wal_level'),
                        current_setting('max_replication_slots')::bigint, (select count(*) from pg_replication_slots),
                        (select setting::bigint from pg_settings where name = 'max_slot_wal_keep_size'),
                        (select rolsuper or rolreplication
                                -- on Amazon RDS and Aurora this right is a role
                                or exists (select 1 from pg_roles x where x.rolname = 'rds_replication' and pg_has_role(current_user, x.oid, 'usage'))
                         from pg_roles where rolname = current_user),
                        has_database_privilege(current_database(), 'create'), current_user::text, current_database()::text",
                &[],
            )
            .await?;
        Ok(ServerFacts {
            version_num: row.get(0),
            wal_level: row.get(1),
            max_replication_slots: row.get(2),
            used_replication_slots: row.get(3),
            max_slot_wal_keep_size_mb: row.get(4),
            may_replicate: row.get(5),
            may_create: row.get(6),
            user: row.get(7),
            database: row.get(8),
        })
    }

    /// Runs the statements that make a table, all of them or none.
    ///
    /// # Errors
    /// When a statement fails: the table is there already, or the role may not make it.
    pub async fn make_table(&self, statements: &str) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute(statements).await?;
        Ok(transaction.commit().await?)
    }

    /// Takes a table away that was just made, unless it has rows.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn unmake_table(&self, name: &str) -> Result<(), StoreError> {
        let (schema, table) = name.split_once('.').unwrap_or(("public", name));
        let table = format!("{}.{}", quote(schema), quote(table));
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute(&format!("lock table {table} in access exclusive mode")).await?;
        let used: bool =
            transaction.query_one(&format!("select exists (select from {table})"), &[]).await?.get(0);
        if !used {
            transaction.batch_execute(&format!("drop table {table}")).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Looks a table up: its key and columns.
    ///
    /// # Errors
    /// [`StoreError::Table`] when it does not exist, has no primary key, or is not a table.
    pub async fn table(&self, name: &str) -> Result<(Table, Vec<Column>), StoreError> {
        let client = self.client().await?;
        let (schema, table) = name.split_once('.').unwrap_or(("public", name));
        let found = client
            .query_opt(
                "select c.oid, c.relkind::text, c.relreplident::text, c.relpersistence::text
                 from pg_class c join pg_namespace n on n.oid = c.relnamespace
                 where n.nspname = $1 and c.relname = $2",
                &[&schema, &table],
            )
            .await?
            .ok_or_else(|| {
                StoreError::Table(format!(
                    "table `{name}` does not exist; create it, or correct its name in the configuration"
                ))
            })?;
        let (oid, kind, persistence): (u32, String, String) = (found.get(0), found.get(1), found.get(3));
        if kind != "r" && kind != "p" {
            return Err(StoreError::Table(format!("`{name}` is not a table; only tables can be bound")));
        }
        if persistence != "p" {
            return Err(StoreError::Table(format!(
                "table `{name}` is unlogged or temporary, so its changes are not in the WAL; run: alter table {name} set logged"
            )));
        }
        let columns: Vec<Column> = client
            .query(
                "select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                        a.atthasdef or a.attidentity <> '', a.attgenerated <> '',
                        case when a.attgenerated = '' and pg_get_expr(d.adbin, d.adrelid) !~ 'nextval'
                             then pg_get_expr(d.adbin, d.adrelid) end
                 from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
                 where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum",
                &[&oid],
            )
            .await?
            .iter()
            .map(|row| Column {
                name: row.get(0),
                type_name: row.get(1),
                not_null: row.get(2),
                has_default: row.get(3),
                generated: row.get(4),
                default: row.get(5),
            })
            .collect();
        let key: Vec<KeyColumn> = client
            .query(
                "select a.attname::text, format_type(a.atttypid, a.atttypmod)
                 from pg_index i
                 cross join lateral unnest(i.indkey) with ordinality k (attnum, place)
                 join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                 where i.indrelid = $1 and i.indisprimary order by k.place",
                &[&oid],
            )
            .await?
            .iter()
            .map(|row| KeyColumn { name: row.get(0), type_name: row.get(1) })
            .collect();
        if key.is_empty() {
            return Err(StoreError::Table(format!(
                "table `{name}` has no primary key, so its rows cannot be told apart; run: alter table {name} add primary key (…)"
            )));
        }
        let identity: String = found.get(2);
        if identity == "n" {
            return Err(StoreError::Table(format!(
                "table `{name}` has replica identity nothing, so updates and deletes are not in the WAL; run: alter table {name} replica identity default"
            )));
        }
        let identity_columns: Vec<String> = match identity.as_str() {
            "f" => columns.iter().map(|column| column.name.clone()).collect(),
            "i" => client
                .query(
                    "select a.attname::text from pg_index i
                     join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
                     where i.indrelid = $1 and i.indisreplident order by a.attnum",
                    &[&oid],
                )
                .await?
                .iter()
                .map(|row| row.get(0))
                .collect(),
            _ => key.iter().map(|column| column.name.clone()).collect(),
        };
        Ok((
            Table {
                schema: schema.to_owned(),
                name: table.to_owned(),
                key,
                identity_full: identity == "f",
                identity: identity_columns,
                children: Vec::new(),
            },
            columns,
        ))
    }

    /// The statement that makes a table's replica identity hold these columns: by a unique index that is there, else whole.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn identity_statement(&self, table: &Table, needed: &[String]) -> Result<String, StoreError> {
        let row = self
            .client()
            .await?
            .query_opt(
                "select c.relname::text from pg_index i join pg_class c on c.oid = i.indexrelid
                 where i.indrelid = to_regclass($1) and i.indisunique and i.indimmediate and i.indisvalid
                   and i.indpred is null and i.indexprs is null
                   and not exists (select 1 from pg_attribute a
                                   where a.attrelid = i.indrelid and a.attnum = any (i.indkey) and not a.attnotnull)
                   and $2::text[] <@ array(select a.attname::text from pg_attribute a
                                           where a.attrelid = i.indrelid and a.attnum = any (i.indkey))
                 order by i.indisprimary desc, i.indnatts, 1 limit 1",
                &[&table.sql_name(), &needed],
            )
            .await?;
        let name = table.sql_name();
        Ok(match row {
            Some(row) => {
                let index: String = row.get(0);
                format!("alter table {name} replica identity using index {}", quote(&index))
            }
            None => format!("alter table {name} replica identity full"),
        })
    }

    /// The tables in a publication, as `schema.table`; `None` when there is no such publication.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn publication_tables(&self, publication: &str) -> Result<Option<Vec<String>>, StoreError> {
        let client = self.client().await?;
        if client
            .query_opt("select 1 from pg_publication where pubname = $1", &[&publication])
            .await?
            .is_none()
        {
            return Ok(None);
        }
        let rows = client
            .query(
                "select schemaname || '.' || tablename from pg_publication_tables where pubname = $1 order by 1",
                &[&publication],
            )
            .await?;
        Ok(Some(rows.iter().map(|row| row.get(0)).collect()))
    }

    /// Makes the publication hold exactly these tables; returns what it did, or `None` when nothing was to do.
    ///
    /// From Postgres 15 on only the columns of the primary key and of the replica identity are published: nothing else
    /// is needed from the WAL, and the server then decodes and sends far less.
    ///
    /// # Errors
    /// When a statement fails, for example for lack of ownership of a table.
    pub async fn publish(&self, publication: &str, tables: &[Table]) -> Result<Option<String>, StoreError> {
        let facts = self.server_facts().await?;
        let client = self.client().await?;
        let list: Vec<String> = tables
            .iter()
            .map(|table| {
                let columns: Vec<String> =
                    published(table).into_iter().map(|column| quote(&column)).collect();
                if facts.version_num >= 150_000 && !table.identity_full {
                    format!("{} ({})", table.sql_name(), columns.join(", "))
                } else {
                    table.sql_name()
                }
            })
            .collect();
        let mut wanted: Vec<String> =
            tables.iter().map(|table| format!("{}.{}", table.schema, table.name)).collect();
        wanted.sort();
        let columns_fit = facts.version_num < 150_000 || self.publishes_keys(publication, tables).await?;
        match self.publication_tables(publication).await? {
            Some(present) if present == wanted && columns_fit => Ok(None),
            Some(_) => {
                if list.is_empty() {
                    return Ok(None);
                }
                client
                    .batch_execute(&format!(
                        "alter publication {} set table {}",
                        quote(publication),
                        list.join(", ")
                    ))
                    .await?;
                Ok(Some(format!("publication {publication} now holds {}", wanted.join(", "))))
            }
            None => {
                let for_tables =
                    if list.is_empty() { String::new() } else { format!(" for table {}", list.join(", ")) };
                client
                    .batch_execute(&format!(
                        "create publication {}{for_tables} with (publish_via_partition_root = true)",
                        quote(publication)
                    ))
                    .await?;
                Ok(Some(format!("publication {publication} made for {}", wanted.join(", "))))
            }
        }
    }

    /// Whether the publication's column lists are the primary keys as they are now. One that lacks a key column makes
    /// the table's updates fail. From Postgres 15 on only.
    async fn publishes_keys(&self, publication: &str, tables: &[Table]) -> Result<bool, StoreError> {
        let rows = self
            .client()
            .await?
            .query(
                "select t.schemaname::text, t.tablename::text, t.attnames::text[],
                        exists (select 1 from pg_publication p join pg_publication_rel r on r.prpubid = p.oid
                                where p.pubname = t.pubname and r.prattrs is not null
                                  and r.prrelid = to_regclass(format('%I.%I', t.schemaname, t.tablename)))
                 from pg_publication_tables t where t.pubname = $1",
                &[&publication],
            )
            .await?;
        Ok(rows.iter().all(|row| {
            let (schema, name, mut columns): (String, String, Vec<String>) =
                (row.get(0), row.get(1), row.get(2));
            let Some(table) = tables.iter().find(|table| table.schema == schema && table.name == name) else {
                return true;
            };
            let mut key = published(table);
            columns.sort();
            key.sort();
            let listed: bool = row.get(3);
            // a full identity must be published as a whole, or the table's updates and deletes fail
            if table.identity_full { !listed } else { columns == key }
        }))
    }
}

/// The columns that are published of a table.
fn published(table: &Table) -> Vec<String> {
    let mut columns: Vec<String> = table.key.iter().map(|column| column.name.clone()).collect();
    columns.extend(table.identity.iter().filter(|name| !columns.contains(name)).cloned().collect::<Vec<_>>());
    columns
}

//! The replication connection before it streams: sign-in and the two commands that we need.

use std::collections::HashMap;
use std::fmt::Write as _;

use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{COPY_DATA_TAG, Message};
use postgres_protocol::message::frontend;

use super::error::{Phase, StreamError};
use super::socket::{Socket, server_error};
use super::{Protocol, ReplicationStream};
use crate::model::lsn::Lsn;
use crate::postgres::ConnectOptions;

/// `CopyBothResponse`, which ordinary connections never see.
const COPY_BOTH_TAG: u8 = b'W';

/// Which server this is, so that another one behind the same address is noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemIdentity {
    /// Chosen when the cluster was made; kept by its physical copies.
    pub system_id: String,
    /// Grows at every promotion or restore to an earlier point.
    pub timeline: u32,
    /// How far the log is flushed.
    pub xlogpos: Lsn,
    pub dbname: String,
}

/// A connection that can start one stream.
pub struct ReplicationConnection {
    socket: Socket,
    parameters: HashMap<String, String>,
}

impl std::fmt::Debug for ReplicationConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplicationConnection")
            .field("server", &self.server_version())
            .finish_non_exhaustive()
    }
}

impl ReplicationConnection {
    pub(super) async fn open(options: &ConnectOptions, application: &str) -> Result<Self, StreamError> {
        let config = options.config();
        let user = config.get_user().ok_or(StreamError::Incomplete { what: "a user" })?.to_owned();
        let database = config.get_dbname().unwrap_or(&user).to_owned();
        let password = config.get_password().map(<[u8]>::to_vec);
        let mut socket = Socket::open(options).await?;
        let mut startup = vec![
            ("user", user.as_str()),
            ("database", database.as_str()),
            ("replication", "database"),
            ("application_name", application),
            // The decoder reads names as UTF-8, and values in the forms of these settings.
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO"),
            ("IntervalStyle", "postgres"),
            ("extra_float_digits", "3"),
        ];
        if let Some(options) = config.get_options() {
            startup.push(("options", options));
        }
        frontend::startup_message(startup, socket.outgoing())
            .map_err(|_| StreamError::Incomplete { what: "a user or database without zero bytes" })?;
        socket.send().await?;
        sign_in(&mut socket, &user, password.as_deref()).await?;
        let mut parameters = HashMap::new();
        loop {
            match socket.receive().await?.parse()? {
                Message::ParameterStatus(body) => {
                    if let (Ok(name), Ok(value)) = (body.name(), body.value()) {
                        parameters.insert(name.to_owned(), value.to_owned());
                    }
                }
                Message::BackendKeyData(_) | Message::NoticeResponse(_) => {}
                Message::ReadyForQuery(_) => return Ok(Self { socket, parameters }),
                Message::ErrorResponse(body) => return Err(server_error(Phase::SignIn, &body, None)),
                _ => return Err(unexpected("after the sign-in")),
            }
        }
    }

    /// The server's major version, such as 17; `None` if it keeps that to itself.
    pub fn server_version(&self) -> Option<u32> {
        let text = self.parameters.get("server_version")?;
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }

    /// Asks the server who it is.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn identify_system(&mut self) -> Result<SystemIdentity, StreamError> {
        let row = self.ask("IDENTIFY_SYSTEM").await?;
        read_identity(row).ok_or_else(|| unexpected("in the answer to IDENTIFY_SYSTEM"))
    }

    /// The history of a timeline: each line is an earlier timeline, where it was left, and why. See
    /// [`crate::capture::judge`].
    ///
    /// # Errors
    /// [`StreamError`], also when the server has no such history; timeline 1 has none.
    pub async fn timeline_history(&mut self, timeline: i32) -> Result<String, StreamError> {
        let row = self.ask(&format!("TIMELINE_HISTORY {timeline}")).await?;
        row.into_iter().nth(1).flatten().ok_or_else(|| unexpected("in the answer to TIMELINE_HISTORY"))
    }

    /// The one row that answers a command.
    async fn ask(&mut self, command: &str) -> Result<Vec<Option<String>>, StreamError> {
        self.query(command).await?;
        let (mut values, mut refused) = (None, None);
        loop {
            match self.socket.receive().await?.parse()? {
                Message::DataRow(row) => {
                    let read = row
                        .ranges()
                        .map(|range| {
                            let bytes = range.and_then(|range| row.buffer().get(range));
                            Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
                        })
                        .collect()
                        .map_err(|_| unexpected("in the answer to a command"))?;
                    values = Some(read);
                }
                // the connection is of use again once the server is ready
                Message::ReadyForQuery(_) => {
                    return match refused {
                        Some(error) => Err(error),
                        None => values.ok_or_else(|| unexpected("in the answer to a command")),
                    };
                }
                Message::ErrorResponse(body) => {
                    refused = Some(server_error(Phase::Identify, &body, None));
                }
                Message::RowDescription(_)
                | Message::CommandComplete(_)
                | Message::ParameterStatus(_)
                | Message::NoticeResponse(_) => {}
                _ => return Err(unexpected("in the answer to a command")),
            }
        }
    }

    /// Starts the stream of a slot with logical messages.
    ///
    /// `from` is at least where the server begins; what was confirmed before is never sent again, whatever `from`.
    ///
    /// # Errors
    /// [`StreamError`]; its fault tells whether the slot is missing, in use or invalidated. The publication is looked
    /// for only when the first change comes.
    pub async fn start(
        mut self,
        slot: &str,
        from: Lsn,
        publication: &str,
        protocol: Protocol,
    ) -> Result<ReplicationStream, StreamError> {
        let command = start_command(slot, from, publication, protocol);
        self.query(&command).await?;
        loop {
            let message = self.socket.receive().await?;
            if message.tag == COPY_BOTH_TAG {
                return Ok(ReplicationStream::new(
                    self.socket,
                    slot.to_owned(),
                    publication.to_owned(),
                    from,
                ));
            }
            if message.tag == COPY_DATA_TAG {
                return Err(unexpected("before the stream had begun"));
            }
            match message.parse()? {
                Message::ErrorResponse(body) => return Err(server_error(Phase::Start, &body, Some(slot))),
                Message::NoticeResponse(_) | Message::ParameterStatus(_) => {}
                _ => return Err(unexpected("before the stream had begun")),
            }
        }
    }

    async fn query(&mut self, command: &str) -> Result<(), StreamError> {
        frontend::query(command, self.socket.outgoing())
            .map_err(|_| StreamError::Incomplete { what: "a slot or publication without zero bytes" })?;
        self.socket.send().await
    }
}

fn start_command(slot: &str, from: Lsn, publication: &str, protocol: Protocol) -> String {
    let mut command = format!("START_REPLICATION SLOT {} LOGICAL {from} (", quoted(slot, '"'));
    command.push_str(match protocol {
        Protocol::Version1 => "proto_version '1'",
        Protocol::Version2 => "proto_version '2', streaming 'on'",
    });
    // The value is a list of identifiers in itself.
    let names = quoted(&quoted(publication, '"'), '\'');
    let _ = write!(command, ", publication_names {names}, messages 'true')");
    command
}

fn quoted(text: &str, quote: char) -> String {
    let doubled = text.replace(quote, &format!("{quote}{quote}"));
    format!("{quote}{doubled}{quote}")
}

fn read_identity(values: Vec<Option<String>>) -> Option<SystemIdentity> {
    let mut values = values.into_iter();
    Some(SystemIdentity {
        system_id: values.next()??,
        timeline: values.next()??.parse().ok()?,
        xlogpos: values.next()??.parse().ok()?,
        dbname: values.next()?.unwrap_or_default(),
    })
}

async fn sign_in(socket: &mut Socket, user: &str, password: Option<&[u8]>) -> Result<(), StreamError> {
    let needed =
        || password.ok_or(StreamError::Incomplete { what: "a password, which the database asks for" });
    loop {
        let answer = match socket.receive().await?.parse()? {
            Message::AuthenticationOk => return Ok(()),
            Message::AuthenticationCleartextPassword => needed()?.to_vec(),
            Message::AuthenticationMd5Password(body) => {
                md5_hash(user.as_bytes(), needed()?, body.salt()).into_bytes()
            }
            Message::AuthenticationSasl(body) => {
                let offered: Vec<String> = body
                    .mechanisms()
                    .map(|name| Ok(name.to_owned()))
                    .collect()
                    .map_err(|_| unexpected("in the list of sign-ins"))?;
                if !offered.iter().any(|name| name == SCRAM_SHA_256) {
                    return Err(StreamError::UnsupportedSignIn { method: offered.join(", ") });
                }
                scram(socket, needed()?).await?;
                continue;
            }
            Message::ErrorResponse(body) => return Err(server_error(Phase::SignIn, &body, None)),
            Message::NoticeResponse(_) => continue,
            Message::AuthenticationGss | Message::AuthenticationSspi => {
                return Err(StreamError::UnsupportedSignIn { method: "GSSAPI or SSPI".to_owned() });
            }
            _ => return Err(unexpected("during the sign-in")),
        };
        frontend::password_message(&answer, socket.outgoing())
            .map_err(|_| StreamError::Incomplete { what: "a password without zero bytes" })?;
        socket.send().await?;
    }
}

/// SCRAM proves both sides to each other: a server that does not know the password is found out.
async fn scram(socket: &mut Socket, password: &[u8]) -> Result<(), StreamError> {
    let failed = |source| StreamError::Scram { source };
    let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
    frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), socket.outgoing()).map_err(failed)?;
    socket.send().await?;
    match socket.receive().await?.parse()? {
        Message::AuthenticationSaslContinue(body) => scram.update(body.data()).map_err(failed)?,
        Message::ErrorResponse(body) => return Err(server_error(Phase::SignIn, &body, None)),
        _ => return Err(unexpected("during the sign-in")),
    }
    frontend::sasl_response(scram.message(), socket.outgoing()).map_err(failed)?;
    socket.send().await?;
    match socket.receive().await?.parse()? {
        Message::AuthenticationSaslFinal(body) => scram.finish(body.data()).map_err(failed),
        Message::ErrorResponse(body) => Err(server_error(Phase::SignIn, &body, None)),
        _ => Err(unexpected("during the sign-in")),
    }
}

fn unexpected(place: &str) -> StreamError {
    StreamError::Protocol { what: format!("an unexpected message {place}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_whatever_they_hold() {
        let command = start_command("s", Lsn(0x1_0000_0002), "a\"b'c", Protocol::Version2);
        let expected = "START_REPLICATION SLOT \"s\" LOGICAL 1/2 (proto_version '2', streaming 'on', \
                        publication_names '\"a\"\"b''c\"', messages 'true')";
        assert_eq!(command, expected);
    }
}

//! Greeting, TLS, and the password in whatever way the server's plugin wants it.
//!
//! A password never goes out in clear except inside TLS or over a Unix socket.

use std::collections::HashMap;
use std::sync::Arc;

use mysql_common::constants::{CapabilityFlags, MariadbCapabilities};
use mysql_common::packets::{AuthPlugin, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;
use rsqoop_connector::{Error, ErrorKind, Secret, TlsMode};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::conn::{Conn, LoginParams};
use super::packet::Cursor;
use super::reader::Fault;
use super::rsa;
use super::socket::Endpoint;

/// How a login can fail.
#[derive(Debug)]
pub(super) enum LoginFault {
    /// The conversation broke or the server refused.
    Fault(Fault),
    /// We refuse to go on.
    Refused(Error),
}

impl From<Fault> for LoginFault {
    fn from(fault: Fault) -> Self {
        LoginFault::Fault(fault)
    }
}

impl From<Error> for LoginFault {
    fn from(error: Error) -> Self {
        LoginFault::Refused(error)
    }
}

/// The first packet of the server.
#[derive(Debug, PartialEq, Eq)]
struct Greeting {
    version: String,
    connection: u32,
    nonce: Vec<u8>,
    capabilities: CapabilityFlags,
    mariadb: MariadbCapabilities,
    plugin: Vec<u8>,
}

impl Greeting {
    fn parse(packet: &[u8]) -> Option<Greeting> {
        let mut c = Cursor(packet);
        if c.u8()? != 10 {
            return None;
        }
        let version = String::from_utf8_lossy(c.until_zero()?).into_owned();
        let connection = c.u32()?;
        let mut nonce = c.take(8)?.to_vec();
        c.u8()?;
        let low = c.u16()?;
        c.u8()?; // default collation
        c.u16()?; // status
        let bits = u32::from(low) | u32::from(c.u16()?) << 16;
        let capabilities = CapabilityFlags::from_bits_truncate(bits);
        let nonce_len = usize::from(c.u8()?);
        c.take(6)?;
        // MariaDB: a server without CLIENT_MYSQL (the bit once called LONG_PASSWORD) sends its own
        // abilities in the last four reserved bytes.
        let mariadb = match capabilities.contains(CapabilityFlags::CLIENT_LONG_PASSWORD) {
            true => c.u32().map(|_| MariadbCapabilities::empty())?,
            false => MariadbCapabilities::from_bits_truncate(c.u32()?),
        };
        nonce.extend_from_slice(c.take(nonce_len.saturating_sub(8).max(13))?);
        nonce.truncate(20);
        let plugin = c.until_zero().unwrap_or(c.0).to_vec();
        Some(Greeting { version, connection, nonce, capabilities, mariadb, plugin })
    }
}

const WANTED: CapabilityFlags = CapabilityFlags::CLIENT_LONG_PASSWORD
    .union(CapabilityFlags::CLIENT_LONG_FLAG)
    .union(CapabilityFlags::CLIENT_PROTOCOL_41)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PS_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(CapabilityFlags::CLIENT_CONNECT_ATTRS)
    .union(CapabilityFlags::CLIENT_DEPRECATE_EOF);

/// 1 GiB: what the server may send at most.
const MAX_ALLOWED_PACKET: u32 = 1 << 30;
/// utf8mb4_general_ci, known to every server since 5.5.3.
const COLLATION: u8 = 45;

/// Logs in on a fresh connection.
pub(super) fn login(conn: &mut Conn, params: &LoginParams) -> Result<(), LoginFault> {
    let greeting = Greeting::parse(conn.packet()?)
        .ok_or_else(|| Fault::protocol("this does not speak MySQL's protocol 10"))?;
    let needed = CapabilityFlags::CLIENT_PROTOCOL_41 | CapabilityFlags::CLIENT_PLUGIN_AUTH;
    if !greeting.capabilities.contains(needed) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("server version {} is too old; 5.7 is the oldest", greeting.version),
        )
        .into());
    }
    conn.id = greeting.connection;
    conn.mariadb = greeting.version.contains("MariaDB");
    // MariaDB up to 10 hides behind "5.5.5-" so that old replicas accept it.
    conn.version = match greeting.version.strip_prefix("5.5.5-") {
        Some(version) if conn.mariadb => version.to_string(),
        _ => greeting.version.clone(),
    };
    let mut wanted = WANTED;
    wanted.set(CapabilityFlags::CLIENT_MULTI_STATEMENTS, params.multi_statements);
    wanted.set(CapabilityFlags::CLIENT_CONNECT_WITH_DB, params.database.is_some());
    conn.capabilities = wanted & greeting.capabilities;
    let extended = greeting.mariadb & MariadbCapabilities::MARIADB_CLIENT_EXTENDED_METADATA;
    conn.extended = !extended.is_empty();
    secure(conn, params, &greeting, extended)?;
    let plugin = greeting.plugin.as_slice();
    let mut nonce = greeting.nonce.clone();
    // A plugin that is not ours: let the server ask again (protocol: authentication switch).
    let first = if respond(conn, params, plugin, &nonce).is_ok_and(|r| r.is_some()) {
        plugin
    } else {
        b"mysql_native_password"
    };
    let answer = respond(conn, params, first, &nonce)?.unwrap_or_default();
    send_response(conn, params, first, answer, extended)?;
    let mut plugin = first.to_vec();
    loop {
        let packet = conn.packet()?;
        match packet[0] {
            0x00 => return Ok(()),
            0xfe if packet.len() == 1 => return Err(unsupported("mysql_old_password").into()),
            0xfe => {
                let mut c = Cursor(&packet[1..]);
                plugin = c.until_zero().unwrap_or_default().to_vec();
                nonce = c.0.strip_suffix(&[0]).unwrap_or(c.0).to_vec();
                let name = String::from_utf8_lossy(&plugin).into_owned();
                let answer =
                    respond(conn, params, &plugin, &nonce)?.ok_or_else(|| unsupported(&name))?;
                let seq = conn.reader.seq();
                conn.send(&answer, seq)?;
            }
            0x01 => {
                let data = packet[1..].to_vec();
                more_data(conn, params, &plugin, &nonce, &data)?;
            }
            _ => return Err(Fault::protocol("an unexpected packet during the login").into()),
        }
    }
}

fn unsupported(plugin: &str) -> Error {
    Error::new(
        ErrorKind::Auth,
        format!("the server wants this user to log in with {plugin}, which rsqoop does not know"),
    )
    .hint("use a user with caching_sha2_password, mysql_native_password or ed25519")
}

/// TLS where the mode and the server want it.
fn secure(
    conn: &mut Conn,
    params: &LoginParams,
    greeting: &Greeting,
    extended: MariadbCapabilities,
) -> Result<(), LoginFault> {
    let (Some(config), Endpoint::Tcp { host, port }) = (&params.tls, &params.endpoint) else {
        return Ok(());
    };
    if !greeting.capabilities.contains(CapabilityFlags::CLIENT_SSL) {
        return match params.tls_mode {
            TlsMode::Disable | TlsMode::Prefer => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Connect,
                format!("the server at {host}:{port} does not offer TLS"),
            )
            .hint("switch TLS on in the server, or use sslMode=PREFERRED")
            .into()),
        };
    }
    conn.capabilities.insert(CapabilityFlags::CLIENT_SSL);
    let mut payload = Vec::new();
    SslRequest::new(announced(conn), MAX_ALLOWED_PACKET, COLLATION)
        .with_mariadb_capabilities(extended)
        .serialize(&mut payload);
    let seq = conn.reader.seq();
    conn.send(&payload, seq)?;
    let name = ServerName::try_from(host.clone()).map_err(|_| {
        Error::new(ErrorKind::Usage, format!("{host:?} is not a host name that TLS can check"))
    })?;
    let tls = ClientConnection::new(Arc::clone(config), name)
        .map_err(|e| Fault::Io(std::io::Error::other(e)))?;
    conn.start_tls(tls)?;
    Ok(())
}

/// MariaDB reads its extended abilities only from a client that does not claim to be MySQL's.
fn announced(conn: &Conn) -> CapabilityFlags {
    let mut capabilities = conn.capabilities;
    if conn.extended {
        capabilities.remove(CapabilityFlags::CLIENT_LONG_PASSWORD);
    }
    capabilities
}

fn send_response(
    conn: &mut Conn,
    params: &LoginParams,
    plugin: &[u8],
    answer: Vec<u8>,
    extended: MariadbCapabilities,
) -> Result<(), Fault> {
    let attributes = HashMap::from([
        ("_client_name".to_string(), "rsqoop".to_string()),
        ("_client_version".to_string(), env!("CARGO_PKG_VERSION").to_string()),
        ("program_name".to_string(), params.application.clone()),
    ]);
    let attributes =
        conn.capabilities.contains(CapabilityFlags::CLIENT_CONNECT_ATTRS).then_some(attributes);
    let response = HandshakeResponse::new(
        Some(answer),
        (8, 0, 0),
        Some(params.user.as_bytes()),
        params.database.as_deref().map(str::as_bytes),
        Some(AuthPlugin::from_bytes(plugin)),
        announced(conn),
        attributes,
        MAX_ALLOWED_PACKET,
    )
    .with_mariadb_ext_capabilities(extended);
    let mut payload = Vec::new();
    response.serialize(&mut payload);
    let seq = conn.reader.seq();
    conn.send(&payload, seq)
}

fn password(params: &LoginParams) -> &str {
    params.password.as_ref().map_or("", Secret::expose)
}

/// Whether nobody between us and the server can read along.
fn is_private(conn: &Conn, params: &LoginParams) -> bool {
    conn.is_tls() || matches!(params.endpoint, Endpoint::Unix(_))
}

fn clear(params: &LoginParams) -> Vec<u8> {
    let mut bytes = password(params).as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// The first answer to a plugin's challenge; `None` for a plugin that is not known.
fn respond(
    conn: &Conn,
    params: &LoginParams,
    plugin: &[u8],
    nonce: &[u8],
) -> Result<Option<Vec<u8>>, LoginFault> {
    let answer = match plugin {
        b"mysql_native_password" | b"caching_sha2_password" | b"client_ed25519" => {
            let plugin = AuthPlugin::from_bytes(plugin);
            plugin.gen_data(Some(password(params)), nonce).map(|d| d.to_vec()).unwrap_or_default()
        }
        b"sha256_password" if password(params).is_empty() => vec![0],
        b"sha256_password" if is_private(conn, params) => clear(params),
        // Byte 1 asks for the server's RSA key.
        b"sha256_password" => match &params.server_key {
            Some(pem) => encrypted(params, nonce, pem)?,
            None => ask_for_key(params)?.to_vec(),
        },
        b"mysql_clear_password" if is_private(conn, params) => clear(params),
        b"mysql_clear_password" => {
            return Err(Error::new(
                ErrorKind::Auth,
                "the server wants the password in clear over a connection without TLS",
            )
            .hint("use sslMode=REQUIRED or better")
            .into());
        }
        // The operating system's user decides; nothing is asked of us.
        b"unix_socket" | b"auth_socket" => Vec::new(),
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

fn ask_for_key(params: &LoginParams) -> Result<&'static [u8], Error> {
    if params.fetch_server_key {
        return Ok(&[1]);
    }
    Err(Error::new(
        ErrorKind::Auth,
        "this user's password can only be sent over TLS or under the server's public key",
    )
    .hint("use TLS (sslMode=REQUIRED), or allowPublicKeyRetrieval=true in a trusted network"))
}

fn encrypted(params: &LoginParams, nonce: &[u8], pem: &[u8]) -> Result<Vec<u8>, Error> {
    rsa::encrypt(password(params).as_bytes(), nonce, pem)
        .ok_or_else(|| Error::new(ErrorKind::Auth, "the server's public key cannot be used"))
}

/// What a plugin asks after its first answer.
fn more_data(
    conn: &mut Conn,
    params: &LoginParams,
    plugin: &[u8],
    nonce: &[u8],
    data: &[u8],
) -> Result<(), LoginFault> {
    let answer = match (plugin, data) {
        // The server has the hash in its cache and is content.
        (b"caching_sha2_password", [3]) => return Ok(()),
        (b"caching_sha2_password", [4]) if is_private(conn, params) => clear(params),
        (b"caching_sha2_password", [4]) => match &params.server_key {
            Some(pem) => encrypted(params, nonce, pem)?,
            // Byte 2 asks for the key here.
            None => ask_for_key(params).map(|_| vec![2])?,
        },
        (b"caching_sha2_password" | b"sha256_password", pem) => encrypted(params, nonce, pem)?,
        _ => return Err(Fault::protocol("an unexpected question during the login").into()),
    };
    let seq = conn.reader.seq();
    conn.send(&answer, seq)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_greeting_panics(mut bytes: Vec<u8>) {
            let _ = Greeting::parse(&bytes);
            bytes.insert(0, 10);
            let _ = Greeting::parse(&bytes);
        }
    }
}

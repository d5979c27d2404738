//! The head of a request: what is asked for, or why it is refused. What comes from strangers is read here and nowhere else.

use core::net::{Ipv4Addr, Ipv6Addr};

use bareflow_store::{MAX_KEY_BYTES, is_key};
use httparse::{EMPTY_HEADER, Error, Header};

use crate::status::Status;

/// The longest head, in bytes, and the most fields in it.
pub const HEAD_BYTES: usize = 2048;
const FIELDS: usize = 32;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The thing that is asked for; an error if there is no such thing, or it can't be had in this way.
    pub wanted: Result<Resource, Status>,
    /// Whether only the head of the answer is wanted.
    pub is_head: bool,
    /// Whether the client knows HTTP/1.1, and so takes answers in chunks.
    pub takes_chunks: bool,
    /// Whether the connection ends after the answer.
    pub is_last: bool,
}

/// A thing that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The page.
    Page,
    /// The modules, as JSON.
    Modules,
    /// The keys of the store.
    Keys,
    /// The value of a key.
    Value(Key),
}

/// A key of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    bytes: [u8; MAX_KEY_BYTES],
    length: u8,
}

impl Key {
    /// Returns the key that a text is, if it is one.
    pub fn new(text: &str) -> Option<Key> {
        let mut bytes = [0; MAX_KEY_BYTES];
        bytes.get_mut(..text.len()).filter(|_| is_key(text))?.copy_from_slice(text.as_bytes());
        Some(Key { bytes, length: text.len() as u8 })
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

/// Reads a head. Returns the request with the head's length, or `None` if it has not ended yet.
///
/// `own_name` is a name of this machine besides its addresses and `localhost`, or empty.
///
/// # Errors
/// The answer to what is no request, after which nothing can be told any more.
pub fn parse(bytes: &[u8], own_name: &str) -> Result<Option<(Request, usize)>, Status> {
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let status = head.parse(bytes).map_err(|error| match error {
        Error::Version => Status::VersionNotSupported,
        Error::TooManyHeaders => Status::HeadTooLarge,
        _ => Status::BadRequest,
    })?;
    let httparse::Status::Complete(length) = status else {
        return if bytes.len() < HEAD_BYTES { Ok(None) } else { Err(Status::HeadTooLarge) };
    };
    let (Some(method), Some(target), Some(version)) = (head.method, head.path, head.version) else {
        return Err(Status::BadRequest);
    };
    let (path, authority) = split(target).ok_or(Status::BadRequest)?;
    let host = one(head.headers, "host")?;
    // RFC 9112, 3.2: an authority in the target goes before the field, which has to be there in any case.
    let named = match (authority, host) {
        (_, None) if version == 1 => return Err(Status::BadRequest),
        (Some(authority), _) => Some(authority),
        (None, host) => host,
    };
    if !named.is_none_or(|name| is_own(name, own_name)) {
        return Err(Status::Misdirected);
    }
    let is_known = matches!(method, "GET" | "HEAD");
    if is_known && has_content(head.headers)? {
        return Err(Status::ContentTooLarge);
    }
    let request = Request {
        wanted: if is_known { resource(path).ok_or(Status::NotFound) } else { Err(Status::MethodNotAllowed) },
        is_head: method == "HEAD",
        takes_chunks: version == 1,
        // What another method brings along is not looked at.
        is_last: version == 0 || !is_known || wants_close(head.headers),
    };
    Ok(Some((request, length)))
}

/// Splits a target into path and, if it names one, authority.
fn split(target: &str) -> Option<(&str, Option<&str>)> {
    let (path, authority) = match target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")) {
        Some(_) => {
            let rest = &target[7..];
            let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            (path, Some(authority))
        }
        None => (target, None),
    };
    let path = path.split('?').next().unwrap_or_default();
    match (path, authority) {
        ("", Some(_)) => Some(("/", authority)),
        _ => path.starts_with('/').then_some((path, authority)),
    }
}

fn resource(path: &str) -> Option<Resource> {
    match path {
        "/" => Some(Resource::Page),
        "/modules.json" => Some(Resource::Modules),
        "/store/" => Some(Resource::Keys),
        _ => Key::new(path.strip_prefix("/store/")?).map(Resource::Value),
    }
}

/// Returns the values of all fields of a name.
fn all<'head>(fields: &'head [Header<'_>], name: &str) -> impl Iterator<Item = &'head [u8]> {
    fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value.trim_ascii())
}

/// Returns the value of a field that may be there once.
fn one<'head>(fields: &'head [Header<'_>], name: &str) -> Result<Option<&'head str>, Status> {
    let mut values = all(fields, name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => str::from_utf8(value).map(Some).map_err(|_| Status::BadRequest),
        (Some(_), Some(_)) => Err(Status::BadRequest),
    }
}

/// Returns whether something follows the head.
fn has_content(fields: &[Header<'_>]) -> Result<bool, Status> {
    if all(fields, "transfer-encoding").next().is_some() {
        return Ok(true);
    }
    let Some(length) = one(fields, "content-length")? else { return Ok(false) };
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Status::BadRequest);
    }
    Ok(length.bytes().any(|byte| byte != b'0'))
}

fn wants_close(fields: &[Header<'_>]) -> bool {
    let mut options = all(fields, "connection").flat_map(|value| value.split(|&byte| byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// Returns whether a host is this machine: an address, `localhost`, or its own name, each perhaps with a port.
///
/// A page of a stranger's can have its name lead here, and ask in its reader's browser; it can't have an address do so.
fn is_own(host: &str, own_name: &str) -> bool {
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let is_name = name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok()
        || (!own_name.is_empty() && name.eq_ignore_ascii_case(own_name));
    is_name && is_port(port)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;

//! The errors that are answered.

/// An error of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Bytes that are no request.
    BadRequest = 400,
    /// There is no such thing.
    NotFound = 404,
    /// The method is neither GET nor HEAD.
    MethodNotAllowed = 405,
    /// The head did not come in time.
    RequestTimeout = 408,
    /// Something follows the head.
    ContentTooLarge = 413,
    /// The host that is asked for is none of this machine's.
    Misdirected = 421,
    /// The head is too long.
    HeadTooLarge = 431,
    /// The answer can't be made now.
    Unavailable = 503,
    /// The version of HTTP is another one.
    VersionNotSupported = 505,
}

impl Status {
    /// Returns the reason phrase.
    pub const fn reason(self) -> &'static str {
        match self {
            Status::BadRequest => "Bad Request",
            Status::NotFound => "Not Found",
            Status::MethodNotAllowed => "Method Not Allowed",
            Status::RequestTimeout => "Request Timeout",
            Status::ContentTooLarge => "Content Too Large",
            Status::Misdirected => "Misdirected Request",
            Status::HeadTooLarge => "Request Header Fields Too Large",
            Status::Unavailable => "Service Unavailable",
            Status::VersionNotSupported => "HTTP Version Not Supported",
        }
    }

    /// Returns what to do, for people.
    pub const fn advice(self) -> &'static str {
        match self {
            Status::BadRequest => "this is no request of HTTP/1.1",
            Status::NotFound => "there are /, /modules.json, /store/ and /store/KEY",
            Status::MethodNotAllowed => "nothing can be changed here; use GET or HEAD",
            Status::RequestTimeout => "the request took too long",
            Status::ContentTooLarge => "send no content",
            Status::Misdirected => "ask for an address, for localhost, or for the name in the parameter httpd.host",
            Status::HeadTooLarge => "a request has up to 2048 bytes and 32 fields",
            Status::Unavailable => {
                "the kernel can't give this now: it has no disk, perhaps, or too many keys; try again later"
            }
            Status::VersionNotSupported => "use HTTP/1.1 or HTTP/1.0",
        }
    }
}

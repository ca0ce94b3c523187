//! The one error type of rsqoop: what happened, where, and what to do.

use std::fmt;

/// Result with the project's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it is; decides the exit status and whether a retry can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request contradicts itself or names something that does not exist.
    Usage,
    /// A file or setting the request points to cannot be used (password file, certificate).
    Config,
    /// The request is clear, but rsqoop or this database cannot do it.
    Unsupported,
    /// The server or database file could not be reached in time.
    Connect,
    /// The server refused the login, or refuses this user what the job needs.
    Auth,
    /// A value cannot be carried over identically.
    Data,
    /// The source's shape changed or does not fit the request.
    Schema,
    /// The target directory or its disk failed.
    Storage,
    /// The source database failed while it was read.
    Source,
    /// Counts or checksums do not agree.
    Verify,
    /// Another run holds the target.
    Conflict,
    /// The run was stopped from outside.
    Cancelled,
    /// A defect in rsqoop.
    Bug,
}

impl ErrorKind {
    /// Every kind, for tables and tests.
    pub const ALL: [ErrorKind; 13] = [
        ErrorKind::Usage,
        ErrorKind::Config,
        ErrorKind::Unsupported,
        ErrorKind::Connect,
        ErrorKind::Auth,
        ErrorKind::Data,
        ErrorKind::Schema,
        ErrorKind::Storage,
        ErrorKind::Source,
        ErrorKind::Verify,
        ErrorKind::Conflict,
        ErrorKind::Cancelled,
        ErrorKind::Bug,
    ];

    /// The kind's lower-case name, as reports and messages spell it.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Usage => "usage",
            ErrorKind::Config => "config",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Connect => "connect",
            ErrorKind::Auth => "auth",
            ErrorKind::Data => "data",
            ErrorKind::Schema => "schema",
            ErrorKind::Storage => "storage",
            ErrorKind::Source => "source",
            ErrorKind::Verify => "verify",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Bug => "bug",
        }
    }
}

/// A failure with its kind, one line of what happened, where it happened, and what to do.
///
/// ```
/// use rsqoop_connector::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Usage, "there is no table \"ordres\"")
///     .context("database", "shop")
///     .hint("did you mean \"orders\"?");
/// assert_eq!(error.kind(), ErrorKind::Usage);
/// assert_eq!(error.to_string(), "there is no table \"ordres\"");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    hint: Option<String>,
    transient: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A new error; `message` is one line without a trailing full stop and without secrets.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            context: Vec::new(),
            hint: None,
            transient: false,
            source: None,
        }))
    }

    /// Adds where it happened: a table, column, key, file. The same key twice keeps the first.
    #[must_use]
    pub fn context(mut self, key: &'static str, value: impl Into<String>) -> Self {
        if !self.0.context.iter().any(|(k, _)| *k == key) {
            self.0.context.push((key, value.into()));
        }
        self
    }

    /// Says what the user can do about it; the first hint stays.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Says what the user can do about it, in place of an earlier hint that knew less.
    #[must_use]
    pub fn replace_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Marks a failure that may be gone when tried again.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.0.transient = true;
        self
    }

    /// Keeps the underlying error; shown with `--verbose`.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// A value that cannot be carried over identically: names the column, its native type, and the
    /// flag that takes it as text.
    pub fn value(column: &str, native_type: &str, problem: impl Into<String>) -> Self {
        Error::new(ErrorKind::Data, problem)
            .context("column", format!("{column} ({native_type})"))
            .hint(format!("import it as the database's own text: --map-column {column}=string"))
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The one line of what happened.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where it happened, outermost last.
    pub fn contexts(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// What the user can do, if anything is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether the same operation may work when tried again.
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind.name(), self.0.message)?;
        for (key, value) in &self.0.context {
            write!(f, "; {key}: {value}")?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "; hint: {hint}")?;
        }
        if let Some(source) = &self.0.source {
            write!(f, "; cause: {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|s| &**s as &(dyn std::error::Error + 'static))
    }
}

impl From<arrow_schema::ArrowError> for Error {
    /// Arrow refuses only what rsqoop built wrongly, or a null where the database promised none.
    fn from(error: arrow_schema::ArrowError) -> Self {
        Error::new(ErrorKind::Data, format!("a record batch could not be built: {error}"))
            .source(error)
    }
}

//! What a key of the settings is: one row of the table in [`crate::keys`].
//!
//! Promises: everything else about settings (reading, checking, printing, the example file, the
//! suggestions) is driven by these rows, so that none of it can drift from another.
//!
//! Refuses: code per key. A key that needs a rule of its own gets a [`Form`]; a rule that joins
//! two keys lives in `together.rs`.

use crate::form::Form;

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Section and name, e.g. `upstream.portal.url`; inside an entry of a list, the name alone.
    pub path: &'static str,
    /// What may be written there.
    pub kind: Kind,
    /// What holds when nothing is written.
    pub initial: Initial,
    /// Whether an admin may also change it on the settings page.
    pub on_page: bool,
    /// Whether the gateway goes by it yet.
    pub built: Built,
    /// What it does, for the person who runs the box; one or two lines.
    pub doc: &'static str,
}

/// How far the gateway is with what a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Built {
    /// It goes by it.
    Yes,
    /// It reads and checks it, and does nothing about it; whoever sets it is told.
    NotYet,
    /// Nor this, and what it would do instead is worse than not to start: plain text where TLS was
    /// asked for.
    NotYetSoRefused,
}

/// What may be written at a key.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number between two bounds, both allowed.
    Whole { min: i64, max: i64 },
    /// A number between two bounds, both allowed.
    Fraction { min: f64, max: f64 },
    /// Text of one form.
    Text(Form),
    /// A list of texts of one form.
    List(Form),
    /// A list of tables, each with these fields.
    Tables(&'static [Key]),
}

/// What holds when nothing is written. The texts are TOML.
#[derive(Debug, Clone, Copy)]
pub enum Initial {
    /// This value.
    Is(&'static str),
    /// Nothing: what it would switch on stays off. The example shows what could be written.
    Unset { example: &'static str },
    /// Only inside an entry of a list: it must be written.
    Required { example: &'static str },
}

impl Key {
    /// The row, not changeable on the settings page.
    pub(crate) const fn new(path: &'static str, kind: Kind, initial: Initial, doc: &'static str) -> Self {
        Self { path, kind, initial, on_page: false, built: Built::Yes, doc }
    }

    /// The same row, changeable on the settings page.
    pub(crate) const fn on_page(mut self) -> Self {
        self.on_page = true;
        self
    }

    /// The same row, for what is still to be built.
    pub(crate) const fn not_built(mut self) -> Self {
        self.built = Built::NotYet;
        self
    }

    /// The same row, for what is still to be built and cannot be done without once it is asked for.
    pub(crate) const fn refused(mut self) -> Self {
        self.built = Built::NotYetSoRefused;
        self
    }

    /// The section it stands in: `upstream.portal`.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// Its name within the section: `url`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }

    /// The environment variable that overrides it: `ROLLCALL__UPSTREAM__PORTAL__URL`.
    #[must_use]
    pub fn variable(&self) -> String {
        variable_of(self.path)
    }

    /// Whether its value must never be shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Text(form) | Kind::List(form) if form.is_secret())
    }

    /// The value to show in the example file: the default, or what could be written.
    #[must_use]
    pub fn sample(&self) -> &'static str {
        match self.initial {
            Initial::Is(text) | Initial::Unset { example: text } | Initial::Required { example: text } => {
                text
            }
        }
    }
}

impl Kind {
    /// What to write, as the object of "write".
    pub(crate) fn wanted(self) -> String {
        match self {
            Self::Flag => "true or false, without quotes".to_owned(),
            Self::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Self::Fraction { min, max } => format!("a number from {min} to {max}"),
            Self::Text(form) => form.wanted(),
            Self::List(form) => format!("a list such as [{}]", form.example()),
            Self::Tables(fields) => {
                let inside: Vec<String> = fields
                    .iter()
                    .filter(|field| matches!(field.initial, Initial::Required { .. }))
                    .map(|field| format!("{} = {}", field.path, field.sample()))
                    .collect();
                format!("a list of tables such as [{{ {} }}]", inside.join(", "))
            }
        }
    }
}

/// The environment variable of a key's path.
pub(crate) fn variable_of(path: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", path.replace('.', "__").to_uppercase())
}

/// What the names of all variables that hold a setting begin with.
pub(crate) const VARIABLE_PREFIX: &str = "ROLLCALL__";

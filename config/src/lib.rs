//! Typed settings: defaults, then the TOML file, then the environment; validated once.
//!
//! Promises: mistakes are reported in one go, each with its key, its line or variable and what to
//! write instead. Two things hold some back, and the count says so: a file that cannot be read to
//! its end, and more than a hundred mistakes. A value that was accepted needs no further checking
//! anywhere, except that paths are compared as written; what the settings file may hold, its
//! example, its printout and its error messages come from one table of keys ([`keys()`]).
//!
//! Refuses: reading the environment or the settings page by itself (they are handed in), looking
//! at the world beyond the file (whether an address is free is for who opens it), and showing
//! secrets.
//!
//! ```
//! use rollcall_config::{Environment, Source, load_source};
//!
//! let source = Source::new("rollcall.toml".as_ref(), b"[campus]\ntimezone = \"Nairobi\"\n".to_vec());
//! let problems = load_source(&source, &Environment::default()).unwrap_err();
//! assert_eq!(
//!     problems.to_string(),
//!     "rollcall.toml:2:12: campus.timezone: \"Nairobi\" is not the name of a time zone; \
//!      write \"Africa/Nairobi\" if that is the place meant"
//! );
//! ```

mod document;
mod environment;
mod example;
mod file;
mod firebase;
mod foreign;
mod form;
mod key;
mod keys;
mod layers;
mod loaded;
mod page;
mod policy;
mod print;
mod problem;
mod secret;
pub mod settings;
mod suggest;
mod together;
mod value;

pub use environment::Environment;
pub use example::example;
pub use file::{ConfigFile, STANDARD_FILE, Source, plain, reason};
pub use firebase::FirebaseSource;
pub use form::Form;
pub use key::{Built, Initial, Key, Kind};
pub use keys::{find, keys, sections};
pub use loaded::{Loaded, load, load_source};
pub use page::{check_page_value, page_keys};
pub use problem::{Fault, Origin, Problem, Problems};
pub use secret::{MASK, Secret, SecretUrl};
pub use settings::Settings;

//! Promise: no input whatever makes loading panic, and what is printed loads again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{environment, load_bytes, load_text, no_environment};
use proptest::prelude::*;
use rollcall_config::{Key, Kind, Problem, check_page_value, example, keys};

/// The example file with its keys switched on and some bytes replaced.
fn damaged_example() -> impl Strategy<Value = Vec<u8>> {
    let text = example().replace("\n#", "\n").into_bytes();
    let length = text.len();
    prop::collection::vec((0..length, any::<u8>()), 0..20).prop_map(move |damages| {
        let mut bytes = text.clone();
        for (place, byte) in damages {
            bytes.splice(place..=place, [byte]);
        }
        bytes
    })
}

/// Pieces that look like settings, in any order.
fn almost_settings() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(keys().collect::<Vec<_>>()).prop_map(|key| format!(
            "{} = {}",
            key.path,
            key.sample()
        )),
        prop::sample::select(vec![
            "[http]",
            "[",
            "]",
            "\n",
            "=",
            "\"",
            "'''",
            "[[dialects.mapped]]",
            "{",
            "}",
            ",",
            "1",
            "#"
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.join("\n"))
}

/// A valid line for a key, or nothing. Secrets are left out: they are masked when printed.
fn valid_line(key: &'static Key, tls: bool) -> BoxedStrategy<String> {
    let path = key.path;
    if key.is_secret()
        || path == "mail.from"
        || path.starts_with("upstream.firestore.")
        || (path.contains("tls_") || path.ends_with("client_ca")) && !tls
    {
        return Just(String::new()).boxed();
    }
    let value = match key.kind {
        Kind::Flag => any::<bool>().prop_map(|flag| flag.to_string()).boxed(),
        Kind::Whole { min, max } => (min..=max).prop_map(|number| number.to_string()).boxed(),
        Kind::Fraction { min, max } => (min..=max).prop_map(|number| format!("{number:?}")).boxed(),
        Kind::Text(_) if path == "campus.name" => {
            "[a-zA-Z\"\\\\'#\u{e9}\u{4e2d}]{1,20}".prop_map(|name| format!("{name:?}")).boxed()
        }
        Kind::Text(_) | Kind::List(_) => Just(key.sample().to_owned()).boxed(),
        Kind::Tables(_) => {
            Just("[{ name = \"x\", topic = \"lab/+\", student = \"a.b\" }]".to_owned()).boxed()
        }
    };
    let must = path.contains("tls_");
    (any::<bool>(), value)
        .prop_map(
            move |(wanted, value)| if wanted || must { format!("{path} = {value}\n") } else { String::new() },
        )
        .boxed()
}

fn valid_settings() -> impl Strategy<Value = String> {
    any::<bool>()
        .prop_flat_map(|tls| keys().map(|key| valid_line(key, tls)).collect::<Vec<_>>())
        .prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn any_bytes_give_settings_or_problems(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        load_bytes(&bytes, &no_environment()).ok();
    }

    #[test]
    fn a_damaged_file_gives_settings_or_problems(bytes in damaged_example()) {
        load_bytes(&bytes, &no_environment()).ok();
    }

    #[test]
    fn pieces_of_settings_give_settings_or_problems(text in almost_settings()) {
        load_text(&text, &no_environment()).ok();
    }

    #[test]
    fn any_text_in_any_variable_gives_settings_or_problems(
        key in prop::sample::select(keys().collect::<Vec<_>>()),
        text in any::<String>(),
        suffix in "[A-Z_\n\u{1b}]{0,20}",
    ) {
        let odd = format!("ROLLCALL__{suffix}");
        if let Err(problems) = load_text("", &environment(&[(&key.variable(), &text), (&odd, &text)])) {
            let one_line = |problem: &Problem| !problem.to_string().contains(char::is_control);
            prop_assert!(problems.iter().all(one_line));
        }
        check_page_value(key.path, &text).ok();
    }

    #[test]
    fn every_problem_fits_one_line(bytes in damaged_example()) {
        if let Err(problems) = load_bytes(&bytes, &no_environment()) {
            for problem in problems.iter() {
                prop_assert!(!problem.to_string().contains(['\n', '\r', '\u{1b}']), "{}", problem);
            }
        }
    }

    #[test]
    fn what_is_printed_loads_again_to_the_same_settings(text in valid_settings()) {
        match load_text(&text, &no_environment()) {
            Ok(loaded) => {
                let again = load_text(&loaded.to_toml(), &no_environment()).unwrap();
                prop_assert_eq!(again.settings, loaded.settings);
            }
            // Two periods drawn at random may contradict each other; nothing else may be wrong.
            Err(problems) => prop_assert!(problems.iter().all(|p| p.to_string().contains("disagrees with")), "{}", problems),
        }
    }
}

//! `rollcall completions SHELL`.

use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::output;

/// Prints the script that completes this command line in a shell.
pub(crate) fn completions(shell: Shell) -> Exit {
    // By way of memory: the generator panics when its output goes away.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::tree(), "rollcall", &mut script);
    match output::print(&String::from_utf8_lossy(&script)) {
        Ok(()) => Exit::Done,
        Err(error) => {
            output::complain(&format!(
                "rollcall: cannot print the script: {}",
                rollcall_config::reason(&error)
            ));
            Exit::CheckFailed
        }
    }
}

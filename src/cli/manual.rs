//! `postrider man` and `postrider completions`: what packages and shells want of the command line.
//!
//! Both come from the definition that `--help` comes from. There is a page for each command, named
//! as the command with hyphens (`postrider-event-list.1`), and `postrider.toml.5`, which is
//! `config.toml.example` as a page. The same binary always writes the same bytes.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::Roff;
use clap_mangen::roff::roman;

use crate::cli::exit::Exit;
use crate::cli::output::Context;

/// The manual that the pages say they are of.
const MANUAL: &str = "postrider";
const CONFIGURATION: &str = include_str!("../../config.toml.example");

/// Write the manual pages
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Where to; made if it is not there
    directory: PathBuf,
}

impl ManArgs {
    pub(super) fn run(&self, root: Command, context: &Context) -> anyhow::Result<ExitCode> {
        let mut pages = Vec::new();
        add_pages(built(root), &mut pages).context("a page cannot be made")?;
        pages.push(("postrider.toml.5".to_owned(), configuration_page()));
        let directory = self.directory.display();
        fs::create_dir_all(&self.directory).with_context(|| format!("cannot make {directory}"))?;
        for (name, text) in &pages {
            write(&self.directory.join(name), text)?;
        }
        context.say(&format!("{} pages in {directory}", pages.len()));
        Ok(Exit::Done.into())
    }
}

/// Print what completes commands in a shell
///
///   # for bash, in this session
///   source <(postrider completions bash)
#[derive(Clone, Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn run(&self, root: Command, context: &Context) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut built(root), "postrider", &mut script);
        context.raw(&script)?;
        Ok(Exit::Done.into())
    }
}

/// With its options and names handed down to the commands below it.
fn built(mut root: Command) -> Command {
    root.build();
    root
}

fn write(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The pages of a command and of those below it, by the names of their files.
fn add_pages(mut command: Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        add_pages(below.clone(), pages)?;
    }
    let man = Man::new(command.clone());
    let name = command.get_display_name().unwrap_or(MANUAL).to_owned();
    let mut text = title(&name, 1);
    man.render_name_section(&mut text)?;
    opening(&mut command).to_writer(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    man.render_options_section(&mut text)?;
    closing(&command, &name).to_writer(&mut text)?;
    pages.push((man.get_filename(), text));
    Ok(())
}

/// The first line of a page. It has no date: the pages of a version are always the same.
fn title(name: &str, section: u8) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    format!(".TH {name} {section} \"\" \"postrider {version}\" {MANUAL}\n").into_bytes()
}

/// How it is called, and what it does.
fn opening(command: &mut Command) -> Roff {
    let mut roff = Roff::new();
    let usage = command.render_usage().to_string();
    roff.control("SH", ["SYNOPSIS"]).control("nf", []);
    for line in usage.lines() {
        roff.text([roman(line.strip_prefix("Usage:").unwrap_or(line).trim())]);
    }
    roff.control("fi", []).control("SH", ["DESCRIPTION"]);
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        prose(&mut roff, &about.to_string());
    }
    roff
}

/// What `--help` ends with, and the pages that belong to this one.
fn closing(command: &Command, name: &str) -> Roff {
    let mut roff = Roff::new();
    if let Some(after) = command.get_after_help() {
        let after = after.to_string();
        let examples = after.strip_prefix("Examples:\n");
        roff.control("SH", [if examples.is_some() { "EXAMPLES" } else { "NOTES" }]);
        prose(&mut roff, examples.unwrap_or(&after));
    }
    roff.control("SH", ["SEE ALSO"]);
    let above = name.rsplit_once('-').map(|(above, _)| format!("{above}(1), "));
    roff.text([roman(format!("{}postrider.toml(5)", above.unwrap_or_default()))]);
    roff
}

/// Paragraphs; lines that begin with a space are shown as they are.
fn prose(roff: &mut Roff, text: &str) {
    let mut verbatim = false;
    for line in text.lines() {
        if line.starts_with(' ') != verbatim {
            verbatim = !verbatim;
            roff.control(if verbatim { "nf" } else { "fi" }, []);
        }
        if line.is_empty() {
            roff.control("PP", []);
        } else {
            roff.text([roman(line)]);
        }
    }
    if verbatim {
        roff.control("fi", []);
    }
}

/// The example of a configuration, which holds every key with its default; its dividing lines
/// become headings.
fn configuration_page() -> Vec<u8> {
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman("postrider.toml - configuration of postrider")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman("The file that comes with postrider as an example, as it is:")]);
    roff.control("PP", []).control("nf", []);
    for line in CONFIGURATION.lines() {
        let divider = line.strip_prefix("# -- ").map(|rest| rest.trim_end_matches('-').trim_end());
        match divider {
            Some(heading) => {
                roff.control("fi", []).control("SS", [heading]).control("nf", []);
            }
            None => {
                roff.text([roman(line)]);
            }
        }
    }
    roff.control("fi", []).control("SH", ["SEE ALSO"]).text([roman("postrider(1)")]);
    let mut text = title("postrider.toml", 5);
    text.extend(roff.render().into_bytes());
    text
}

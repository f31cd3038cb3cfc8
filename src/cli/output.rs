//! Results on stdout, talk on stderr.

use std::io;
use std::io::BufWriter;
use std::io::IsTerminal;
use std::io::Write;

use anstyle::AnsiColor;
use anstyle::Style;
use comfy_table::Attribute;
use comfy_table::Cell;
use comfy_table::ContentArrangement;
use comfy_table::Table;
use comfy_table::presets;
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::options::Format;
use crate::cli::options::Options;
use crate::cli::text;
use crate::model::Time;

/// What a command works with besides its own arguments.
#[derive(Debug)]
pub struct Context {
    /// The global options.
    pub options: Options,
    /// The wall clock.
    pub clock: fn() -> Time,
    /// How results are written.
    pub format: Format,
    /// Whether results are coloured.
    coloured: bool,
}

/// A row of a list.
pub trait Row: Serialize {
    /// The names of the columns that every table has.
    const COLUMNS: &'static [&'static str];
    /// The names of the columns that only wide tables and plain rows have.
    const MORE: &'static [&'static str];

    /// The cells of all columns. `time` writes a time as the format wants it.
    fn cells(&self, time: &dyn Fn(Time) -> String) -> Vec<String>;

    /// Its id or name.
    fn id(&self) -> String;
}

/// How something is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It is well.
    Good,
    /// It needs attention.
    Bad,
    /// It may need attention.
    Odd,
    /// It matters less.
    Dim,
    /// It is a heading.
    Strong,
}

impl Context {
    /// The surroundings of this process.
    pub fn new(options: Options, clock: fn() -> Time) -> Context {
        let format = options.format();
        let coloured = options.coloured() && matches!(format, Format::Table | Format::Wide);
        Context { options, clock, format, coloured }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        (self.clock)()
    }

    /// A list; `whole` is the document that stands for it as JSON.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub fn list<R: Row>(&self, rows: &[R], whole: &impl Serialize) -> anyhow::Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        match self.format {
            Format::Json => write_json(&mut out, whole)?,
            Format::Jsonl => {
                for row in rows {
                    writeln!(out, "{}", serde_json::to_string(row)?)?;
                }
            }
            Format::Id => {
                for row in rows {
                    writeln!(out, "{}", row.id())?;
                }
            }
            Format::Plain => {
                for row in rows {
                    writeln!(out, "{}", cells(row, &|time| time.to_string()).join("\t"))?;
                }
            }
            Format::Wide => writeln!(out, "{}", self.table(rows, &|time| time.to_string(), true))?,
            Format::Table => {
                let now = self.now();
                writeln!(out, "{}", self.table(rows, &|time| text::relative(now, time), false))?;
            }
        }
        Ok(out.flush()?)
    }

    /// The rows as an aligned table.
    fn table<R: Row>(&self, rows: &[R], time: &dyn Fn(Time) -> String, wide: bool) -> String {
        let columns = R::COLUMNS.len() + if wide { R::MORE.len() } else { 0 };
        let header: Vec<&str> = R::COLUMNS.iter().chain(R::MORE).take(columns).copied().collect();
        let rows = rows.iter().map(|row| cells(row, time).into_iter().take(columns).collect());
        self.grid(&header, rows.collect())
    }

    /// Cells in aligned columns under a header.
    pub fn grid(&self, header: &[&str], rows: Vec<Vec<String>>) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        // the table pads by width, and knows only its own styles to have none
        if self.coloured {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(header.iter().map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
        table.add_rows(rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.trim_fmt()
    }

    /// One thing: as JSON, as its id, or as `text` for people and plain output.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub fn one(
        &self,
        value: &impl Serialize,
        id: &str,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        match self.format {
            Format::Json => write_json(&mut out, value)?,
            Format::Jsonl => writeln!(out, "{}", serde_json::to_string(value)?)?,
            Format::Id => writeln!(out, "{id}")?,
            Format::Table | Format::Wide | Format::Plain => writeln!(out, "{}", text())?,
        }
        Ok(())
    }

    /// Bytes as they are.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub fn raw(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// Says something on stderr, unless `--quiet`.
    pub fn say(&self, line: &str) {
        if !self.options.quiet {
            complain(line);
        }
    }

    /// Shows how far something is, on a line that the next one takes the place of. Only on a
    /// terminal, and not with `--quiet`.
    pub fn progress(&self, line: &str) {
        let mut err = io::stderr().lock();
        if !self.options.quiet && io::stderr().is_terminal() {
            let written = write!(err, "\r\x1b[K{line}").and_then(|()| err.flush());
            // where even that fails, nobody is left to tell
            written.unwrap_or_default();
        }
    }

    /// The text in its colour, where there is colour.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.coloured {
            return text.to_owned();
        }
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        let style = match tone {
            Tone::Good => colour(AnsiColor::Green),
            Tone::Bad => colour(AnsiColor::Red),
            Tone::Odd => colour(AnsiColor::Yellow),
            Tone::Dim => Style::new().dimmed(),
            Tone::Strong => Style::new().bold(),
        };
        format!("{style}{text}{style:#}")
    }

    /// Goes on if `--yes` was given, or a person says so.
    ///
    /// # Errors
    /// A [`Failure`] if nobody agrees.
    pub fn approve(&self, question: &str) -> anyhow::Result<()> {
        if self.options.yes {
            return Ok(());
        }
        if !self.options.may_ask() {
            let message = format!("{question} Confirm with --yes.");
            return Err(Failure::new(Exit::Usage, message).into());
        }
        let mut err = io::stderr().lock();
        write!(err, "{question} [y/N] ")?;
        err.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(Failure::new(Exit::Failed, "nothing was changed").into())
    }
}

/// Writes a line to stderr. Where even that fails, nobody is left to tell.
pub fn complain(line: &str) {
    writeln!(io::stderr().lock(), "{line}").unwrap_or_default();
}

fn cells<R: Row>(row: &R, time: &dyn Fn(Time) -> String) -> Vec<String> {
    row.cells(time).iter().map(|cell| text::clean(cell)).collect()
}

fn write_json(out: &mut impl Write, value: &impl Serialize) -> anyhow::Result<()> {
    writeln!(out, "{}", serde_json::to_string_pretty(value)?)?;
    Ok(())
}

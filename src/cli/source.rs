//! `postrider source`: where events come from.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::list;
use crate::cli::output::Context;
use crate::cli::output::Row;
use crate::cli::text;
use crate::model::Time;
use crate::model::source::SourceView;
use crate::model::view::Page;

/// List and show the sources that have names
#[derive(Clone, Debug, Args)]
pub(super) struct SourceArgs {
    #[command(subcommand)]
    command: SourceCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum SourceCommand {
    /// List sources
    List,
    /// Show a source
    Show(Name),
}

#[derive(Clone, Debug, Args)]
struct Name {
    /// The source's name
    #[arg(value_name = "SOURCE")]
    name: String,
}

impl SourceArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let client = Client::admin(&context.options.socket, context.options.timeout)?;
        match &self.command {
            SourceCommand::List => {
                let page: Page<SourceView> = client.get("/v1/sources")?;
                context.list(&page.data, &page)?;
            }
            SourceCommand::Show(args) => {
                let view = client.get(list::path_of("sources", &args.name, "")?)?;
                context.one(&view, &args.name, || card(context, &view))?;
            }
        }
        Ok(Exit::Done.into())
    }
}

fn card(context: &Context, view: &SourceView) -> String {
    let from = match &view.path {
        Some(path) => format!("Path       {}", text::clean(path)),
        None => {
            let user = view.unix_user.as_deref().unwrap_or(text::NONE);
            format!("User       {}", text::clean(user))
        }
    };
    let mut lines = vec![format!("Source     {}   {}", view.name, view.id), from];
    if let Some(description) = &view.description {
        lines.push(format!("About      {}", text::clean(description)));
    }
    lines.push(format!("Types      {}", text::clean(&view.types.join(" "))));
    lines.push(format!("Payload    {} at most", text::bytes(view.max_payload_bytes)));
    if let Some(rate) = &view.rate {
        let burst = view.burst.unwrap_or(1);
        lines.push(format!("Rate       {}, burst {burst}", text::clean(rate)));
    }
    if let Some(after) = view.silent_after_s {
        lines.push(format!("Silent     after {}", text::span(Duration::from_secs(after))));
    }
    let place = view.defined_in.as_deref().unwrap_or(text::NONE);
    lines.push(format!("Defined    {}", text::clean(place)));
    let last = view.last_event_at.map(|at| text::relative(context.now(), at));
    lines.push(format!("Last event {}", last.unwrap_or_else(|| "none since the start".to_owned())));
    let (accepted, refused) = (text::count(view.accepted), text::count(view.refused));
    lines.push(format!("Events     {accepted} accepted, {refused} refused since the start"));
    lines.join("\n")
}

impl Row for SourceView {
    const COLUMNS: &'static [&'static str] =
        &["SOURCE", "FROM", "RATE", "LAST EVENT", "ACCEPTED", "REFUSED"];
    const MORE: &'static [&'static str] = &["ID", "TYPES", "DEFINED"];

    fn cells(&self, time: &dyn Fn(Time) -> String) -> Vec<String> {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| text::NONE.into());
        vec![
            self.name.clone(),
            self.unix_user.clone().unwrap_or_else(|| or_none(&self.path)),
            or_none(&self.rate),
            self.last_event_at.map_or_else(|| text::NONE.into(), time),
            self.accepted.to_string(),
            self.refused.to_string(),
            self.id.clone(),
            self.types.join(","),
            or_none(&self.defined_in),
        ]
    }

    fn id(&self) -> String {
        self.name.clone()
    }
}

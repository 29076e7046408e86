//! `rowtwin demo`.

use std::process::ExitCode;

use crate::cli::signals::StopSignal;

#[derive(clap::Args)]
pub struct DemoArgs {
    /// Without pauses; ends with one JSON line and exit code 0 or 1.
    #[arg(long)]
    check: bool,
}

pub async fn demo(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let mut stop = StopSignal::listen()?;
    let told = tokio::select! {
        told = crate::demo::tell(args.check) => told?,
        // the stage goes with the story: server, simulators and the folder of the data
        () = stop.asked() => {
            println!("\nstopped; nothing stays");
            return Ok(ExitCode::from(130));
        }
    };
    if args.check {
        println!("{}", told.summary);
    } else if told.good {
        println!(
            "\nAll as promised. Next: `rowtwin dev` starts the same database for your own tables; README.md has the ten lines."
        );
    }
    Ok(ExitCode::from(u8::from(!told.good)))
}

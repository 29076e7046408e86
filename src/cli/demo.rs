//! `rowtwin demo`.

use std::process::ExitCode;

#[derive(clap::Args)]
pub struct DemoArgs {
    /// Without pauses; ends with one JSON line and exit code 0 or 1.
    #[arg(long)]
    check: bool,
}

pub async fn demo(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let told = crate::demo::tell(args.check).await?;
    if args.check {
        println!("{}", told.summary);
    } else if told.good {
        println!(
            "\nAll as promised. Next: `rowtwin dev` starts the same database for your own tables; README.md has the ten lines."
        );
    }
    Ok(ExitCode::from(u8::from(!told.good)))
}

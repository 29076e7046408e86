//! The plan of a seed: a world, and the steps of its story. Made from the seed alone, before anything runs.
//!
//! Each step carries dice of its own. So what a step does depends on the state that it finds and on itself, never on how
//! often others threw the dice: a step can be left out, and the rest of the story stays the same story.

use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use crate::remote::abilities::Abilities;
use crate::remote::fault::{Fault, Op};

/// What the primary keys of the tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    Number,
    Text,
    Uuid,
    Pair,
}

/// A system and how the tables are bound to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SystemPlan {
    pub name: String,
    pub abilities: Abilities,
    pub policy: String,
    pub against_edit: String,
    /// Rows and records are matched by their code.
    pub matches: bool,
    /// The row has a column for the record's id.
    pub id_column: bool,
}

/// Everything that is so from the beginning.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorldPlan {
    pub key: KeyKind,
    /// A second table whose rows refer to rows of the first.
    pub parts: bool,
    /// Rows of the first table are documents with lines.
    #[serde(default)]
    pub lines: bool,
    /// Lines are recognised by their code; by their values and places otherwise.
    #[serde(default)]
    pub lines_match: bool,
    pub systems: Vec<SystemPlan>,
    pub processes: usize,
}

impl WorldPlan {
    pub fn tables(&self) -> &'static [&'static str] {
        if self.parts { &["item", "part"] } else { &["item"] }
    }
}

/// What happens in one step. Rows, records and values are chosen by the step's own dice from what is there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Act {
    Insert,
    Edit,
    EditAll,
    Delete,
    Rekey,
    RemoteInsert(usize),
    RemoteEdit(usize),
    RemoteDelete(usize),
    /// A line is added, edited or removed.
    Line,
    RemoteLine(usize),
    /// Somebody holds a row in an open transaction.
    HoldRow,
    FreeRow,
    Capture(usize),
    Deliver(usize),
    Pull(usize),
    Upkeep(usize),
    Recover(usize),
    /// Everybody works once.
    Round(usize),
    /// Polls, or sweeps, become due.
    PollDue,
    SweepDue,
    /// So many seconds pass for the database's clock.
    Pass(u32),
    Fault(usize, Op, Fault),
    /// Calls that hang go on.
    LetGo,
    /// A process dies between two steps.
    Kill(usize),
    /// A process dies when a turn of it has been polled that often.
    DieDelivering(usize, u32),
    DiePulling(usize, u32),
    DieCapturing(usize, u32),
    /// A person decides a conflict that waits, tries again what was refused, or has everything compared.
    Resolve,
    Retry,
    Resync,
    Verify,
    VerifyTurn(usize),
    /// A person takes a system out for a while.
    Pause(usize),
    Resume,
    LoseSlot,
    /// The server ends all sessions of ours.
    Terminate,
    /// The server crashes and starts again.
    Crash,
}

/// One step of a story.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    /// Its place in the whole plan, from 1; values that it writes carry it.
    pub number: usize,
    pub dice: u64,
    pub act: Act,
}

/// A seed's world and story.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    pub seed: u64,
    pub world: WorldPlan,
    pub steps: Vec<Step>,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut world = world(&mut dice);
        let mood = Mood::by(&mut dice);
        if mood.hanging || mood.deaths {
            // what hangs, and what a dead process has begun, takes a place; nobody wants to wait for one in real time
            world.systems.iter_mut().for_each(|system| system.abilities.in_flight = 8);
        }
        if mood.rekeys && mood.slot {
            // a row that gets another primary key while nobody watches keeps its record only by this column
            world.systems.iter_mut().for_each(|system| system.id_column = true);
        }
        let steps = story(&mut dice, &world, &mood);
        Self { seed, world, steps }
    }

    /// The same story with these steps only.
    pub fn with(&self, numbers: &[usize]) -> Self {
        let steps = self.steps.iter().filter(|step| numbers.contains(&step.number)).cloned().collect();
        Self { seed: self.seed, world: self.world.clone(), steps }
    }
}

fn world(dice: &mut Dice) -> WorldPlan {
    let key = dice.pick(&[KeyKind::Number, KeyKind::Number, KeyKind::Text, KeyKind::Uuid, KeyKind::Pair]);
    let count = dice.weighted(&[(50, 1), (40, 2), (10, 3)]);
    let systems = ["alpha", "beta", "gamma"].into_iter().take(count).map(|name| system(dice, name)).collect();
    let parts = key != KeyKind::Pair && dice.percent(35);
    WorldPlan {
        key,
        parts,
        lines: !parts && dice.percent(35),
        lines_match: dice.percent(60),
        systems,
        processes: if dice.percent(45) { 2 } else { 1 },
    }
}

fn system(dice: &mut Dice, name: &str) -> SystemPlan {
    let abilities = Abilities::by(dice);
    let matches = !abilities.plants || dice.percent(80);
    SystemPlan {
        name: name.to_owned(),
        policy: dice.weighted(&[(4, "latest"), (2, "local"), (2, "remote"), (1, "manual")]).to_owned(),
        against_edit: dice.weighted(&[(3, "edit"), (1, "delete")]).to_owned(),
        matches,
        id_column: dice.percent(40),
        abilities,
    }
}

/// The kinds of trouble that a story may have; most have some of them, so that each is seen without the others too.
struct Mood {
    row_deletes: bool,
    record_deletes: bool,
    rekeys: bool,
    holds: bool,
    network: bool,
    hanging: bool,
    deaths: bool,
    slot: bool,
    sessions: bool,
    crash: bool,
    decisions: bool,
    verifications: bool,
}

impl Mood {
    fn by(dice: &mut Dice) -> Self {
        Self {
            row_deletes: dice.percent(60),
            record_deletes: dice.percent(60),
            rekeys: dice.percent(20),
            holds: dice.percent(25),
            network: dice.percent(65),
            hanging: dice.percent(30),
            deaths: dice.percent(40),
            slot: dice.percent(15),
            sessions: dice.percent(15),
            crash: dice.percent(3),
            decisions: dice.percent(30),
            verifications: dice.percent(20),
        }
    }
}

fn story(dice: &mut Dice, world: &WorldPlan, mood: &Mood) -> Vec<Step> {
    let count = dice.between(20, 80);
    let mut steps = Vec::new();
    for number in 1..=count {
        // nobody can edit what is not there
        let system = dice.below(world.systems.len());
        let first = if dice.percent(60) { Act::Insert } else { Act::RemoteInsert(system) };
        let act = act(dice, world, mood);
        steps.push(Step { number, act: if number <= 3 { first } else { act }, dice: dice.next() });
    }
    steps
}

fn act(dice: &mut Dice, world: &WorldPlan, mood: &Mood) -> Act {
    let when = |so: bool, weight: usize| if so { weight } else { 0 };
    let system = dice.below(world.systems.len());
    let process = dice.below(world.processes);
    let polls = u32::try_from(dice.between(1, 60)).unwrap();
    let seconds = dice.pick(&[1, 3, 9, 20, 45]);
    let fault = fault(dice, system);
    let held = held(dice, world, system);
    let dying = dying(dice, system);
    dice.weighted(&[
        (9, Act::Insert),
        (14, Act::Edit),
        (1, Act::EditAll),
        (when(mood.row_deletes, 3), Act::Delete),
        (when(mood.rekeys, 3), Act::Rekey),
        (5, Act::RemoteInsert(system)),
        (12, Act::RemoteEdit(system)),
        (when(mood.record_deletes, 3), Act::RemoteDelete(system)),
        (when(world.lines, 14), Act::Line),
        (when(world.lines, 9), Act::RemoteLine(system)),
        (when(mood.holds, 3), Act::HoldRow),
        (when(mood.holds, 9), Act::FreeRow),
        (10, Act::Capture(process)),
        (12, Act::Deliver(process)),
        (12, Act::Pull(process)),
        (3, Act::Upkeep(process)),
        (when(mood.slot, 6), Act::Recover(process)),
        (8, Act::Round(process)),
        (8, Act::PollDue),
        (3, Act::SweepDue),
        (6, Act::Pass(seconds)),
        (when(mood.network, 14), fault),
        (when(mood.hanging, 8), held),
        (when(mood.hanging, 5), Act::LetGo),
        (when(mood.deaths, 2), Act::Kill(process)),
        (when(mood.deaths, 3), Act::DieDelivering(process, polls)),
        (when(mood.deaths, 2), Act::DiePulling(process, polls)),
        (when(mood.deaths, 1), Act::DieCapturing(process, polls)),
        (when(mood.deaths, 4), dying),
        (when(mood.decisions, 5), Act::Resolve),
        (when(mood.decisions, 1), Act::Retry),
        (when(mood.decisions, 1), Act::Resync),
        (when(mood.decisions, 1), Act::Pause(system)),
        (when(mood.decisions, 2), Act::Resume),
        (when(mood.verifications, 2), Act::Verify),
        (when(mood.verifications, 5), Act::VerifyTurn(process)),
        (when(mood.slot, 2), Act::LoseSlot),
        (when(mood.sessions, 2), Act::Terminate),
        (when(mood.crash, 2), Act::Crash),
    ])
}

fn fault(dice: &mut Dice, system: usize) -> Act {
    let fault = dice.weighted(&[
        (4, Fault::LostAnswer),
        (2, Fault::LateCommit),
        (2, Fault::Refused(503)),
        (1, Fault::Refused(500)),
        (2, Fault::GatewayAfter(502)),
        (1, Fault::Throttled),
        (2, Fault::Partial),
        (2, Fault::Shuffled),
        (1, Fault::Hidden),
        (1, Fault::Expired),
        (1, Fault::Html),
        (1, Fault::Truncated),
        (1, Fault::WrongShape),
    ]);
    let fitting: Vec<(usize, Op)> =
        [(3, Op::List), (1, Op::Read), (1, Op::Find), (4, Op::Create), (4, Op::Update), (2, Op::Delete)]
            .into_iter()
            .filter(|(_, op)| fault.fits(*op))
            .collect();
    Act::Fault(system, dice.weighted(&fitting), fault)
}

fn held(dice: &mut Dice, world: &WorldPlan, system: usize) -> Act {
    let op =
        dice.pick(&[Op::List, Op::List, Op::List, Op::Read, Op::Create, Op::Update, Op::Update, Op::Delete]);
    // a write that hangs before it is done overwrites whatever comes meanwhile, unless the remote checks versions
    let before = op == Op::Create || (op.writes() && world.systems[system].abilities.versions);
    Act::Fault(system, op, if before && dice.percent(50) { Fault::HeldBefore } else { Fault::HeldAfter })
}

fn dying(dice: &mut Dice, system: usize) -> Act {
    let op = dice.pick(&[
        Op::List,
        Op::Read,
        Op::Find,
        Op::Create,
        Op::Create,
        Op::Update,
        Op::Update,
        Op::Delete,
    ]);
    Act::Fault(system, op, if dice.percent(50) { Fault::DeathBefore } else { Fault::DeathAfter })
}

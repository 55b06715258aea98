//! Counts instructions: this same program again, inside valgrind's callgrind.
//!
//! callgrind writes a numbered dump, and begins again at 0, each time it sees one of two functions return: the one that
//! gets a scenario ready and the one that runs it. What the scenario took is the second dump of each pair.

use super::baseline::Count;
use super::scenarios::{Operation, Scenario, chosen};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, id};

/// The tool's arguments, but for the file that it writes. It finds the functions by a part of their names.
const CALLGRIND: [&str; 3] = ["--tool=callgrind", "--dump-after=*ready_for_callgrind*", "--dump-after=*counted_by_callgrind*"];

/// All that the program inside sees of the outside: the C library and the loader obey variables, and even their mere length
/// moves the stack.
///
/// The C library copies in the way that it holds best for the processor and its caches: with `rep movsb`, which callgrind
/// counts as one instruction an octet, or in vectors of this or that width. It is told to copy alike on every machine
/// ("Hardware Capability Tunables" in its manual).
const SURROUNDINGS: [(&str, &str); 2] = [
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS,-FSRM,-AVX,-AVX2,-AVX512VL:glibc.cpu.x86_non_temporal_threshold=1000000000"),
];

/// The name by which the program inside is run: the path of the real one lies on its stack, too, and is another on another
/// machine.
const INSIDE: &str = "./counted";

/// The begin of the names of callgrind's dumps.
const DUMP: &str = "dump";

/// Gets a scenario ready: its input is made and was used once, so that nothing is new to the allocator or the loader.
#[inline(never)]
fn ready_for_callgrind(scenario: &Scenario) -> Operation {
    let mut operation = (scenario.prepare)();
    (0..scenario.rounds).for_each(&mut operation);
    operation
}

/// Runs an operation `rounds` times where callgrind counts.
#[inline(never)]
pub fn counted_by_callgrind(operation: &mut Operation, rounds: usize) {
    for round in 0..rounds {
        operation(round);
    }
}

/// The part that runs inside valgrind: every scenario whose name contains `filter`. Prints the name of each and how often it
/// was run.
///
/// # Errors
/// When there is no such scenario.
pub fn run_inside(filter: &str) -> Result<(), String> {
    for scenario in chosen(filter)? {
        let mut operation = ready_for_callgrind(scenario);
        counted_by_callgrind(&mut operation, scenario.rounds);
        println!("{} {}", scenario.name, scenario.rounds);
    }
    Ok(())
}

/// Counts the scenarios whose names contain `filter`.
///
/// # Errors
/// When there is no such scenario, or valgrind cannot be run, or does not do as told.
pub fn count(filter: &str) -> Result<Vec<Count>, String> {
    chosen(filter)?;
    let directory = std::env::temp_dir().join(format!("steersman-counts-{}", id()));
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let counts = count_into(&directory, filter);
    // A directory that stays in /tmp does no harm.
    let _ = fs::remove_dir_all(&directory);
    counts
}

fn count_into(directory: &Path, filter: &str) -> Result<Vec<Count>, String> {
    let own = std::env::current_exe().map_err(|error| format!("this program's own path: {error}"))?;
    symlink(&own, directory.join(INSIDE)).map_err(|error| format!("a link in {}: {error}", directory.display()))?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(CALLGRIND).arg(format!("--callgrind-out-file={DUMP}")).args([INSIDE, "inside", filter]);
    let ran = valgrind.current_dir(directory).env_clear().envs(SURROUNDINGS).output();
    let Output { status, stdout, stderr } = ran.map_err(|error| format!("valgrind: {error}"))?;
    if !status.success() {
        return Err(format!("valgrind ended with {status}:\n{}", String::from_utf8_lossy(&stderr)));
    }
    String::from_utf8_lossy(&stdout).lines().enumerate().map(|(index, line)| read(directory, 2 * index + 2, line)).collect()
}

/// The count of the scenario whose dump has this number.
fn read(directory: &Path, number: usize, line: &str) -> Result<Count, String> {
    let run = line.split_once(' ').and_then(|(name, rounds)| Some((name, rounds.parse::<u64>().ok()?)));
    let (scenario, rounds) = run.ok_or_else(|| format!("`{line}` is not a scenario and how often it was run"))?;
    let path = directory.join(format!("{DUMP}.{number}"));
    let text = fs::read_to_string(&path).map_err(|error| format!("callgrind's dump of {scenario}: {}: {error}", path.display()))?;
    // Were the numbers shifted, the counts would be those of something else.
    let is_ours = text.lines().any(|line| line.starts_with("desc: Trigger: ") && line.contains("counted_by_callgrind"));
    let total = text.lines().find_map(|line| line.strip_prefix("summary: ")?.trim().parse::<u64>().ok());
    let total =
        total.filter(|_| is_ours).ok_or_else(|| format!("callgrind's dump of {scenario}, {}, is not what it should be", path.display()))?;
    Ok(Count { scenario: scenario.to_owned(), instructions: (total + rounds / 2) / rounds })
}

/// What counts depend on besides the code: valgrind's version and the C library's.
pub fn surroundings() -> String {
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok().filter(|output| output.status.success());
        output.map_or_else(|| format!("{program} unknown"), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    format!("{}, {}", said("valgrind", "--version"), said("getconf", "GNU_LIBC_VERSION"))
}

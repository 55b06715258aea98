//! A thousand zones, and a thousand pools: what an answer costs beside the same with one.

use super::estate::{Plain, Pooled};
use super::{Asked, Bench, Started, costs};
use crate::query::Query;
use crate::table::Table;
use std::fs;
use std::io;

const FEW_ZONES: Plain = Plain { zones: 1, names: 1000 };
const MANY_ZONES: Plain = Plain { zones: 1000, names: 1000 };
const FEW_POOLS: Pooled = Pooled { pools: 1, names: 10 };
const MANY_POOLS: Pooled = Pooled { pools: 1000, names: 10_000 };

pub fn report_zones(bench: &Bench) -> io::Result<()> {
    let few = zones(bench, "1 zone of 1,000 names", FEW_ZONES)?;
    let many = zones(bench, "1,000 zones of 1,000 names", MANY_ZONES)?;
    // As many different questions for both, so that the generator's caches are equally full.
    let count = MANY_ZONES.zones * MANY_ZONES.names;
    report(bench, "Many zones", &[(few, FEW_ZONES.questions(count)), (many, MANY_ZONES.questions(count))])
}

pub fn report_pools(bench: &Bench) -> io::Result<()> {
    let few = pools(bench, "10 steered names, 1 pool", FEW_POOLS)?;
    let many = pools(bench, "10,000 steered names, 1,000 pools", MANY_POOLS)?;
    let count = MANY_POOLS.names;
    report(bench, "Many pools", &[(few, FEW_POOLS.questions(count)), (many, MANY_POOLS.questions(count))])
}

fn report(bench: &Bench, title: &str, both: &[(Started, Vec<Query>); 2]) -> io::Result<()> {
    let asked = both.each_ref().map(|(started, queries)| Asked { name: started.contender.name, contender: &started.contender, queries });
    let rows = bench.rounds(title, &asked)?;
    let memory: Vec<_> = both.iter().map(|(started, _)| crate::meter::resident_mib(&started.contender.processes())).collect();
    println!("\n### {title}\n\n{}", costs(&rows, &memory));
    let mut table = Table::new("config", &["start to first answer, s"]);
    for (started, _) in both {
        table.row(vec![started.contender.name.to_owned(), format!("{:.2}", started.first_answer.as_secs_f64())]);
    }
    println!("\n{table}");
    Ok(())
}

fn zones(bench: &Bench, name: &'static str, plain: Plain) -> io::Result<Started> {
    let setup = bench.steersman(name, "\"zones/*.zone\"", "")?;
    let directory = setup.home.join("zones");
    fs::create_dir_all(&directory)?;
    for zone in 0..plain.zones {
        fs::write(directory.join(format!("{}.zone", Plain::origin(zone))), plain.text(zone, 1))?;
    }
    let (query, address) = Plain::question(plain.zones - 1, plain.names - 1);
    bench.start(setup, &query, |answer| answer.addresses == [address])
}

fn pools(bench: &Bench, name: &'static str, pooled: Pooled) -> io::Result<Started> {
    let setup = bench.steersman(name, "zone.yaml", "policies: [policies.yaml]\nprobes: {allow: [default, 127.0.0.0/8]}\n")?;
    fs::write(setup.home.join("zone.yaml"), pooled.zone())?;
    fs::write(setup.home.join("policies.yaml"), pooled.policies(bench.members_port, None))?;
    bench.start(setup, &Pooled::question(pooled.names - 1), Pooled::is_right)
}

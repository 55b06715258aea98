//! What Prometheus sees. Nothing is counted here: a scrape reads the workers' counters and the control task's status, and
//! writes them down. docs/METRICS.md lists every name.
#![allow(clippy::cast_precision_loss, reason = "a gauge is a float; beyond 2^53 nobody counts")]

use super::counters::{DROP_REASONS, Totals, TransportTotals};
use super::status::{AddressStatus, MemberStatus, PoolStatus, StatusView, TargetStatus, TimesStatus};
use crate::answer::{DropReason, Outcome, Transport};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::time::Duration;

/// The format of [`render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything a scrape shows.
#[derive(Debug)]
pub struct Scrape {
    /// What the control task says; none when it does not answer.
    pub status: Option<StatusView>,
    /// What the workers counted.
    pub totals: Totals,
    /// How long ago the control task last moved.
    pub heartbeat_age: Duration,
    /// What `/readyz` says.
    pub ready: bool,
    /// When the program started, in seconds since 1970.
    pub started_unix_s: u64,
    /// Lines of the log that were lost.
    pub log_lines_lost: u64,
}

/// The text of a scrape.
pub fn render(scrape: Scrape) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("a string takes everything");
    text
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = Page(encoder);
        self.encode_process(&mut page)?;
        self.encode_queries(&mut page)?;
        self.encode_streams(&mut page)?;
        match &self.status {
            Some(status) => encode_status(status, &mut page),
            None => Ok(()),
        }
    }
}

impl Scrape {
    fn encode_process(&self, page: &mut Page) -> fmt::Result {
        page.gauge(
            "steersman_build_info",
            "1, with the version as a label",
            vec![(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0)],
        )?;
        page.seconds("process_start_time", "When the program started, in seconds since 1970", self.started_unix_s as f64)?;
        page.counter("steersman_log_lines_lost", "Lines of the log that nobody read in time", vec![(vec![], self.log_lines_lost)])?;
        page.gauge("steersman_ready", "1 while /readyz says 200", vec![(vec![], f64::from(u8::from(self.ready)))])?;
        page.seconds("steersman_control_heartbeat_age", "How long ago the control task last moved", self.heartbeat_age.as_secs_f64())
    }
}

//--- From the workers

impl Scrape {
    fn encode_queries(&self, page: &mut Page) -> fmt::Result {
        page.counter("steersman_queries", "Messages that arrived, whatever became of them", self.by_transport(|t| t.queries))?;
        page.counter("steersman_answers", "Answers by outcome", self.by_outcome())?;
        page.counter("steersman_truncated", "Answers with TC set", self.by_transport(|t| t.truncated))?;
        page.counter("steersman_dropped", "Queries without an answer, by reason", self.by_reason())?;
        page.counter("steersman_panics", "Queries that made the server panic; each is a bug", self.by_transport(|t| t.panics))?;
        page.counter("steersman_receive_errors", "Failed receives and accepts", self.by_transport(|t| t.receive_errors))?;
        page.counter("steersman_send_errors", "Answers that the kernel did not take", self.by_transport(|t| t.send_errors))
    }

    fn encode_streams(&self, page: &mut Page) -> fmt::Result {
        let open = self.streams(|t| t.connections.open).into_iter().map(|(labels, n)| (labels, n as f64)).collect();
        page.gauge("steersman_connections", "Connections open now", open)?;
        page.counter("steersman_connections_accepted", "Connections ever let in", self.streams(|t| t.connections.accepted))?;
        page.counter(
            "steersman_connections_refused",
            "Connections closed at once because of a limit",
            self.streams(|t| t.connections.refused),
        )?;
        page.counter("steersman_connections_timed_out", "Connections closed for idling", self.streams(|t| t.connections.timed_out))
    }

    fn by_transport(&self, number: impl Fn(&TransportTotals) -> u64) -> Vec<Row<u64>> {
        self.totals.iter().map(|(transport, totals)| (vec![("transport", transport_word(transport).to_owned())], number(totals))).collect()
    }

    fn streams(&self, number: impl Fn(&TransportTotals) -> u64) -> Vec<Row<u64>> {
        let mut rows = self.by_transport(number);
        rows.retain(|(labels, _)| labels[0].1 != transport_word(Transport::Udp));
        rows
    }

    fn by_outcome(&self) -> Vec<Row<u64>> {
        let rows = |(transport, totals): (Transport, &TransportTotals)| {
            let label = |outcome| vec![("transport", transport_word(transport).to_owned()), ("outcome", outcome_word(outcome).to_owned())];
            Outcome::ALL.map(|outcome| (label(outcome), totals.answers(outcome)))
        };
        self.totals.iter().flat_map(rows).collect()
    }

    fn by_reason(&self) -> Vec<Row<u64>> {
        let rows = |(transport, totals): (Transport, &TransportTotals)| {
            let label = |reason| vec![("transport", transport_word(transport).to_owned()), ("reason", reason_word(reason).to_owned())];
            DROP_REASONS.map(|reason| (label(reason), totals.drops(reason)))
        };
        self.totals.iter().flat_map(rows).collect()
    }
}

/// A transport as labels and logs write it.
pub const fn transport_word(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
    }
}

const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Static => "static",
        Outcome::Steered => "steered",
        Outcome::NoData => "nodata",
        Outcome::AllDown => "all_down",
        Outcome::NameError => "nxdomain",
        Outcome::Referral => "referral",
        Outcome::Refused => "refused",
        Outcome::FormatError => "formerr",
        Outcome::NotImplemented => "notimp",
        Outcome::BadVersion => "badvers",
    }
}

const fn reason_word(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Short => "short",
        DropReason::Response => "response",
    }
}

//--- The page

/// The labels of a row, and its value.
type Row<V> = (Vec<(&'static str, String)>, V);

/// A page of metrics being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, rows: Vec<Row<u64>>) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            if labels.is_empty() {
                family.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            } else {
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            }
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, rows: Vec<Row<f64>>) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            if labels.is_empty() {
                family.encode_gauge(&value)?;
            } else {
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    /// A counter of what does not come in whole numbers.
    fn sum(&mut self, name: &str, help: &str, rows: Vec<Row<f64>>) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, times: &TimesStatus) -> fmt::Result {
        let buckets: Vec<_> = times.by_bound.iter().map(|(bound, count)| (bound.unwrap_or(f64::INFINITY), *count)).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        encoder.encode_histogram::<NoLabelSet>(times.sum_s, count, &buckets, None)
    }

    /// A single gauge in seconds; its name gets the unit as suffix.
    fn seconds(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?.encode_gauge(&value)
    }
}

//--- From the control task

fn encode_status(status: &StatusView, page: &mut Page) -> fmt::Result {
    page.gauge(
        "steersman_generation",
        "Counts the configs put in force since the start, from 1",
        vec![(vec![], status.generation as f64)],
    )?;
    page.seconds("steersman_config_loaded_time", "When the config in force was loaded, in seconds since 1970", status.since_unix_s as f64)?;
    let reloads = status.reloads.iter().map(|(result, &n)| (vec![("result", result.clone())], n));
    page.counter("steersman_reloads", "Reloads by result", reloads.collect())?;
    page.counter("steersman_verdict_changes", "Changes of members' verdicts", vec![(vec![], status.verdict_changes)])?;
    let suspect = f64::from(u8::from(status.suspicion.is_some()));
    page.gauge("steersman_suspect", "1 while this node does not trust its own sight and holds its verdicts", vec![(vec![], suspect)])?;
    let stalled = f64::from(u8::from(!status.probes_come_in));
    if let Some(journal) = status.journal {
        page.counter("steersman_journal_entries", "Entries of the journal", vec![(vec![], journal.written)])?;
        page.counter("steersman_journal_entries_lost", "Entries that the disk did not take", vec![(vec![], journal.lost)])?;
        page.counter("steersman_state_save_failures", "Saves of the state that failed", vec![(vec![], journal.save_failures)])?;
    }
    page.gauge("steersman_prober_stalled", "1 while no probe comes back", vec![(vec![], stalled)])?;
    let expiries = status.overrides.iter().map(|one| {
        let labels = vec![("selector", one.selector.clone()), ("state", one.state.clone()), ("owner", one.owner.clone())];
        (labels, one.expires_unix_s.map_or(f64::INFINITY, |expires| expires as f64))
    });
    page.gauge(
        "steersman_override_expiry_time_seconds",
        "When an override ends, in seconds since 1970; +Inf when nothing but an operator ends it",
        expiries.collect(),
    )?;
    page.counter("steersman_pools_prepared", "Pools prepared anew because of what probes saw", vec![(vec![], status.pools_prepared)])?;
    page.histogram(
        "steersman_detection_seconds",
        "From the start of the first probe of a failing run until answers without the member were published",
        &status.detections,
    )?;
    page.histogram("steersman_probe_lateness_seconds", "How much later than its slot a probe began", &status.lateness)?;
    page.gauge("steersman_zones", "Zones served", vec![(vec![], status.zones.len() as f64)])?;
    page.gauge("steersman_targets", "Targets probed", vec![(vec![], status.targets.len() as f64)])?;
    let probes = status.targets.iter().flat_map(|target| {
        let row = |(result, &n): (&String, &u64)| (vec![("target", target.identity.clone()), ("result", result.clone())], n);
        target.probes.iter().map(row).collect::<Vec<_>>()
    });
    page.counter("steersman_probes", "Probes by target and result", probes.collect())?;
    let of_target = |number: fn(&TargetStatus) -> Option<f64>| {
        let row = move |target: &TargetStatus| Some((vec![("target", target.identity.clone())], number(target)?));
        status.targets.iter().filter_map(row).collect::<Vec<_>>()
    };
    let lost = of_target(|target| target.loss.map(|(failures, _)| f64::from(failures)));
    page.gauge("steersman_target_failures_in_window", "Failures among the last probes that `window` looks at", lost)?;
    page.gauge("steersman_target_flaps", "Falls within the window of `damping`", of_target(|target| Some(target.flaps as f64)))?;
    let canaries = of_target(|target| target.canary.then(|| f64::from(u8::from(target.verdict == "up"))));
    page.gauge("steersman_canary_up", "1 while the verdict on the canary is up, 0 while down or unknown", canaries)?;
    encode_certificates(status, page)?;
    encode_members(status, page)?;
    let of_pool = |number: fn(&PoolStatus) -> f64| {
        status.pools.iter().map(|pool| (vec![("pool", pool.name.clone())], number(pool))).collect::<Vec<_>>()
    };
    page.sum(
        "steersman_dead_answers",
        "Answers that named a dead member and could be held when its failing run began; an estimate",
        of_pool(|pool| pool.dead_answers),
    )?;
    page.sum("steersman_dead_ip_exposure_seconds", "Dead-IP exposure; an estimate", of_pool(|pool| pool.exposure_s))?;
    // Nobody is to be woken up by a pool that the config disables.
    let enabled = status.pools.iter().filter(|pool| pool.members.iter().any(|member| !member.disabled));
    let grades = enabled.map(|pool| (vec![("pool", pool.name.clone())], grade_number(pool)));
    page.gauge("steersman_pool_grade", "2 healthy, 1 degraded, 0 empty or kept by a protection alone", grades.collect())?;
    let usable = status.pools.iter().map(|pool| (vec![("pool", pool.name.clone())], pool.usable as f64));
    page.gauge("steersman_pool_usable_members", "Members that may be answered", usable.collect())
}

fn encode_certificates(status: &StatusView, page: &mut Page) -> fmt::Result {
    let each =
        || status.targets.iter().filter_map(|target| Some((vec![("target", target.identity.clone())], target.certificate.as_ref()?)));
    let left = each().map(|(labels, certificate)| (labels, certificate.expires_in_s as f64 / 86_400.0));
    page.gauge("steersman_certificate_days_left", "Days until the certificate of a target expires", left.collect())?;
    let soon = each().map(|(labels, certificate)| (labels, f64::from(u8::from(certificate.expires_soon))));
    page.gauge("steersman_certificate_expires_soon", "1 while it expires within expiry_warning", soon.collect())
}

fn encode_members(status: &StatusView, page: &mut Page) -> fmt::Result {
    // Nobody is to be woken up by a member that the config disables.
    let up = each_enabled_address(status).map(|(labels, address)| (labels, f64::from(u8::from(address.verdict == "up"))));
    page.gauge("steersman_member_up", "1 while the verdict is up, 0 while down or unknown", up.collect())?;
    let suspect = each_address(status).map(|(labels, address)| (labels, f64::from(u8::from(address.suspect))));
    page.gauge("steersman_member_suspect", "1 while it seems dead and is not believed to be", suspect.collect())?;
    let flag = |is: fn(&AddressStatus) -> bool| each_address(status).map(|(labels, a)| (labels, f64::from(u8::from(is(a))))).collect();
    page.gauge(
        "steersman_member_protected",
        "1 while a protection keeps it that seems dead or was taken out",
        flag(|a| a.kept_by.is_some()),
    )?;
    page.gauge("steersman_member_held_back", "1 while it is up and waits to be let back", flag(|a| a.held_back))?;
    let forced = each_address(status).filter_map(|(mut labels, address)| {
        labels.push(("state", address.forced.clone()?));
        Some((labels, 1.0))
    });
    page.gauge("steersman_member_forced", "1 while an override is in the place of the verdict", forced.collect())?;
    let share = each_address(status).map(|(labels, address)| (labels, address.share));
    page.gauge("steersman_member_share", "Share of its weight, below 1 while it comes back or is slow", share.collect())?;
    let latency = each_address(status).filter_map(|(labels, address)| Some((labels, address.latency_ms? / 1e3)));
    page.gauge("steersman_member_latency_seconds", "Smoothed connect time of the probes that passed", latency.collect())
}

fn each_address(status: &StatusView) -> impl Iterator<Item = (Vec<(&'static str, String)>, &AddressStatus)> {
    addresses(status, |_| true)
}

fn each_enabled_address(status: &StatusView) -> impl Iterator<Item = (Vec<(&'static str, String)>, &AddressStatus)> {
    addresses(status, |member| !member.disabled)
}

fn addresses(
    status: &StatusView,
    is_meant: fn(&MemberStatus) -> bool,
) -> impl Iterator<Item = (Vec<(&'static str, String)>, &AddressStatus)> {
    status.pools.iter().flat_map(move |pool| {
        pool.members.iter().filter(move |member| is_meant(member)).flat_map(move |member| {
            member.addresses.iter().map(move |address| {
                let labels = vec![("pool", pool.name.clone()), ("member", member.name.clone()), ("family", address.family.clone())];
                (labels, address)
            })
        })
    })
}

fn grade_number(pool: &PoolStatus) -> f64 {
    match pool.grade.as_str() {
        "healthy" => 2.0,
        "degraded" => 1.0,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::order::OverrideStatus;
    use crate::io::status::CertificateStatus;
    use std::collections::{BTreeMap, BTreeSet};

    fn scrape() -> Scrape {
        let target = TargetStatus {
            identity: "tcp 192.0.2.1:80".into(),
            verdict: "up".into(),
            since_unix_s: 7,
            in_a_row: 2,
            loss: Some((1, 3)),
            flaps: 1,
            held_for_s: 0.0,
            last_result: Some("pass in 1ms".into()),
            last_unix_s: Some(8),
            next_probe_in_s: 0.5,
            interval_s: 5.0,
            probes: BTreeMap::from([("pass".to_owned(), 2), ("timeout".to_owned(), 1)]),
            canary: true,
            certificate: Some(CertificateStatus { expires_unix_s: 900_000, expires_in_s: 129_600, expires_soon: true }),
        };
        let address = AddressStatus {
            family: "ipv4".into(),
            address: [192, 0, 2, 1].into(),
            verdict: "up".into(),
            suspect: true,
            forced: Some("drain".into()),
            kept_by: Some("core".into()),
            held_back: true,
            share: 0.5,
            notes: Vec::new(),
            since_unix_s: 7,
            for_s: 1.0,
            latency_ms: Some(2.5),
            targets: vec![target.identity.clone()],
            last_result: None,
            next_probe_in_s: None,
        };
        let member = MemberStatus { name: "fra-1".into(), site: None, weight: 1, disabled: false, addresses: vec![address] };
        let status = StatusView {
            version: "0".into(),
            state: "serving".into(),
            generation: 3,
            fingerprint: String::new(),
            since_unix_s: 7,
            started_unix_s: 6,
            age_s: 1.0,
            verdict_changes: 4,
            detections: TimesStatus { by_bound: vec![(Some(0.5), 1), (Some(1.0), 2), (None, 1)], sum_s: 130.5 },
            lateness: TimesStatus { by_bound: vec![(Some(0.001), 7), (None, 2)], sum_s: 3.5 },
            suspicion: Some(crate::io::status::SuspicionStatus { why: "blind".into(), since_unix_s: 7, for_s: 1.0 }),
            probes_come_in: false,
            journal: Some(crate::io::status::JournalStatus { written: 7, lost: 2, save_failures: 1 }),
            overrides: vec![OverrideStatus {
                selector: "pool:web".into(),
                state: "drain".into(),
                owner: "alice".into(),
                reason: "test".into(),
                set_unix_s: 7,
                expires_unix_s: Some(9),
                break_glass: false,
                removes_unix_s: Some(8),
                gone_unix_s: Some(9),
                told: Vec::new(),
            }],
            pools_prepared: 6,
            reloads: BTreeMap::from([("applied".to_owned(), 2)]),
            zones: vec!["gslb.example.com.".into()],
            pools: vec![PoolStatus {
                name: "web".into(),
                grade: "degraded".into(),
                usable: 1,
                dead_answers: 2.5,
                exposure_s: 7.25,
                members: vec![member],
            }],
            targets: vec![target],
        };
        Scrape {
            status: Some(status),
            totals: Totals::default(),
            heartbeat_age: Duration::from_millis(20),
            ready: true,
            started_unix_s: 6,
            log_lines_lost: 5,
        }
    }

    #[test]
    fn a_scrape_holds_what_the_control_task_and_the_workers_know() {
        let text = render(scrape());
        for line in [
            "steersman_generation 3.0",
            "steersman_log_lines_lost_total 5",
            "steersman_verdict_changes_total 4",
            r#"steersman_detection_seconds_bucket{le="0.5"} 1"#,
            r#"steersman_detection_seconds_bucket{le="1.0"} 3"#,
            r#"steersman_detection_seconds_bucket{le="+Inf"} 4"#,
            "steersman_detection_seconds_sum 130.5",
            "steersman_detection_seconds_count 4",
            r#"steersman_probe_lateness_seconds_bucket{le="0.001"} 7"#,
            r#"steersman_probe_lateness_seconds_bucket{le="+Inf"} 9"#,
            r#"steersman_dead_answers_total{pool="web"} 2.5"#,
            r#"steersman_dead_ip_exposure_seconds_total{pool="web"} 7.25"#,
            "steersman_suspect 1.0",
            "steersman_journal_entries_total 7",
            "steersman_journal_entries_lost_total 2",
            "steersman_state_save_failures_total 1",
            r#"steersman_override_expiry_time_seconds{selector="pool:web",state="drain",owner="alice"} 9.0"#,
            r#"steersman_member_forced{pool="web",member="fra-1",family="ipv4",state="drain"} 1.0"#,
            r#"steersman_member_protected{pool="web",member="fra-1",family="ipv4"} 1.0"#,
            r#"steersman_member_held_back{pool="web",member="fra-1",family="ipv4"} 1.0"#,
            r#"steersman_member_share{pool="web",member="fra-1",family="ipv4"} 0.5"#,
            "steersman_prober_stalled 1.0",
            r#"steersman_member_suspect{pool="web",member="fra-1",family="ipv4"} 1.0"#,
            r#"steersman_target_failures_in_window{target="tcp 192.0.2.1:80"} 1.0"#,
            r#"steersman_target_flaps{target="tcp 192.0.2.1:80"} 1.0"#,
            r#"steersman_canary_up{target="tcp 192.0.2.1:80"} 1.0"#,
            "steersman_pools_prepared_total 6",
            r#"steersman_probes_total{target="tcp 192.0.2.1:80",result="timeout"} 1"#,
            r#"steersman_member_up{pool="web",member="fra-1",family="ipv4"} 1.0"#,
            r#"steersman_member_latency_seconds{pool="web",member="fra-1",family="ipv4"} 0.0025"#,
            r#"steersman_pool_grade{pool="web"} 1.0"#,
            r#"steersman_certificate_days_left{target="tcp 192.0.2.1:80"} 1.5"#,
            r#"steersman_certificate_expires_soon{target="tcp 192.0.2.1:80"} 1.0"#,
            r#"steersman_queries_total{transport="udp"} 0"#,
            r#"steersman_answers_total{transport="tls",outcome="nxdomain"} 0"#,
            r#"steersman_reloads_total{result="applied"} 2"#,
            "steersman_control_heartbeat_age_seconds 0.02",
            "process_start_time_seconds 6.0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing from\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_member_that_the_config_disables_is_not_told_to_be_down_nor_a_pool_of_such_to_be_empty() {
        let mut scrape = scrape();
        scrape.status.as_mut().expect("there").pools[0].members[0].disabled = true;
        let text = render(scrape);
        assert!(!text.contains("steersman_member_up{") && text.contains("steersman_member_share{"), "{text}");
        assert!(!text.contains("steersman_pool_grade{") && text.contains("steersman_pool_usable_members{"), "{text}");
    }

    #[test]
    fn a_stuck_control_task_does_not_hide_the_counters() {
        let text = render(Scrape { status: None, ..scrape() });
        assert!(text.contains("steersman_queries_total") && !text.contains("steersman_generation"));
    }

    /// Names as a scrape shows them: counters end in `_total`.
    fn exported(text: &str) -> BTreeSet<String> {
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let names = types.filter_map(|line| line.split_once(' '));
        names.map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() }).collect()
    }

    #[test]
    fn the_docs_list_every_metric_and_no_other() {
        let page = include_str!("../../docs/METRICS.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
        let documented: BTreeSet<String> = rows.filter_map(|row| Some(row.split(['`', '{']).next()?.to_owned())).collect();
        assert_eq!(documented, exported(&render(scrape())));
    }
}

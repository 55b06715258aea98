//! A zone's YAML section to what all formats of zones become, [`ZoneSource`].

use crate::config::suggest::did_you_mean;
use crate::config::zone::{OwnerSection, SetSection, SoaSection, ZoneSection};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, Spanned};
use crate::dns::{Name, Rtype};
use crate::zone::{OwnerId, Place, ZoneSource, doubled_origin, parse_rdata, soa_rdata};
use std::time::Duration;

/// Reads the texts of a section; what is faulty is reported.
pub(super) fn read(section: &ZoneSection, diagnostics: &mut Diagnostics) -> ZoneSource {
    let origin = &section.origin;
    let records = section.owners.iter().map(|owner| owner.sets.len()).sum();
    let mut zone = ZoneSource::new(&origin.span.source, origin.value.clone(), Place::from(&origin.span), records);
    if let Some(rdata) = read_soa(&section.soa, zone.origin(), diagnostics) {
        zone.set_soa(seconds(section.ttl), Place::from(&section.soa.span), &rdata);
    }
    for owner in &section.owners {
        read_owner(owner, section, &mut zone, diagnostics);
    }
    zone
}

fn read_owner(section: &OwnerSection, zone_section: &ZoneSection, zone: &mut ZoneSource, diagnostics: &mut Diagnostics) {
    let Some(owner) = read_name(&section.owner, zone, diagnostics) else { return };
    if section.ttl.is_some() && section.sets.is_empty() {
        let message = format!("the `ttl` of `{}` counts for nothing", zone.get(owner).name());
        let help = "it is that of static data, and there is none; a steered answer takes the `ttl` of its pool or policy";
        diagnostics.push(Diagnostic::warning("unused-ttl", &section.owner.span, message).help(help));
    }
    let ttl_s = seconds(section.ttl.unwrap_or(zone_section.ttl));
    for set in &section.sets {
        read_set(set, owner, ttl_s, zone, diagnostics);
    }
    let Some(steer) = &section.steer else { return };
    let first = zone.steered().iter().find(|steered| steered.owner == owner);
    if let Some(first) = first.map(|first| first.policy.span.clone()) {
        let what = format!("`steer` of `{}`", zone.get(owner).name());
        diagnostics.push(twice(&steer.span, &first, &what));
        return;
    }
    zone.steer(owner, steer.clone());
}

fn read_name(owner: &Spanned<String>, zone: &mut ZoneSource, diagnostics: &mut Diagnostics) -> Option<OwnerId> {
    match Name::parse(&owner.value, zone.origin()) {
        Ok(name) => zone.owner(name.lowercase().wire(), Place::from(&owner.span), diagnostics),
        Err(error) => {
            let fault = Diagnostic::error("bad-domain-name", &owner.span, format!("`{}` is no domain name: {error}", owner.value));
            diagnostics.push(fault.help("write a name such as `www`, `\"*.app\"`, or `\"@\"` for the zone itself"));
            None
        }
    }
}

fn read_set(set: &SetSection, owner: OwnerId, ttl_s: u32, zone: &mut ZoneSource, diagnostics: &mut Diagnostics) {
    let Some(rtype) = read_type(&set.rtype, diagnostics) else { return };
    if let Some(first) = zone.name_set(owner, rtype, Place::from(&set.rtype.span)) {
        let what = format!("{rtype} records of `{}`", zone.get(owner).name());
        diagnostics.push(twice(&set.rtype.span, &zone.span(first), &what));
        return;
    }
    let origin = zone.origin().clone();
    for value in &set.values {
        let place = Place::from(&value.span);
        if let Err(error) = zone.record(owner, rtype, ttl_s, place, |out| parse_rdata(rtype, &value.value, &origin, out)) {
            let fault = Diagnostic::error("bad-record", &value.span, format!("`{}` is no {rtype} data: {error}", value.value));
            diagnostics.push(fault.help(error.help(rtype)));
        }
    }
}

fn read_soa(soa: &SoaSection, origin: &Name, diagnostics: &mut Diagnostics) -> Option<Vec<u8>> {
    let mut name = |text: &Spanned<String>, key: &str| match Name::parse(&text.value, origin) {
        Ok(name) => Some(name),
        Err(error) => {
            let fault = Diagnostic::error("bad-domain-name", &text.span, format!("`{key}` is no domain name: {error}"));
            diagnostics.push(fault.help("write a name such as `ns1`, or `ns1.example.net.` with a dot at its end"));
            None
        }
    };
    let (mname, rname) = (name(&soa.mname, "mname"), name(&soa.rname, "rname"));
    for (name, text) in [(&mname, &soa.mname), (&rname, &soa.rname)] {
        diagnostics.extend(name.as_ref().and_then(|name| doubled_origin(name.wire(), origin, &text.span)));
    }
    if let Some(mailbox) = soa.rname.value.strip_suffix('.').unwrap_or(&soa.rname.value).split_once('@') {
        let help = format!("write it as a name: `{}.{}.`", mailbox.0.replace('.', "\\."), mailbox.1);
        diagnostics.push(Diagnostic::error("bad-mailbox", &soa.rname.span, "the mailbox has an `@`").help(help));
    }
    let serial = soa.serial.unwrap_or_else(|| fingerprint(&soa.span.source.text));
    let times = [serial, seconds(soa.refresh), seconds(soa.retry), seconds(soa.expire), seconds(soa.minimum)];
    Some(soa_rdata(&mname?, &rname?, times))
}

/// The serial of a zone that writes none: equal on all nameservers that serve the same text, different for another text.
/// FNV-1a, since it must stay the same over releases; never 0.
fn fingerprint(text: &str) -> u32 {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.max(1)
}

fn read_type(rtype: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Rtype> {
    const COMMON: [&str; 13] = ["A", "AAAA", "NS", "CNAME", "MX", "TXT", "SRV", "PTR", "CAA", "HTTPS", "SVCB", "NAPTR", "TLSA"];
    match Rtype::parse(&rtype.value) {
        Some(Rtype::SOA) => {
            let fault = Diagnostic::error("soa-record", &rtype.span, "the SOA record is not written among the records");
            diagnostics.push(fault.help("use the `soa:` section at the top of the zone file"));
            None
        }
        Some(known) => Some(known),
        None => {
            let fault = Diagnostic::error("unknown-type", &rtype.span, format!("`{}` is no record type", rtype.value));
            diagnostics.push(fault.help(did_you_mean(&rtype.value, "record type", COMMON.into_iter().chain(["steer", "ttl"]))));
            None
        }
    }
}

fn twice(second: &Span, first: &Span, what: &str) -> Diagnostic {
    Diagnostic::error("duplicate-records", second, format!("{what} are written twice"))
        .also(first, "first here")
        .help("merge them into one list")
}

/// Whole seconds of a TTL; the reader of the section has checked the range.
fn seconds(ttl: Duration) -> u32 {
    u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX)
}

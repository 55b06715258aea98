//! The databases in `geoip/` are what their source says, and steer as they should.
#![allow(clippy::disallowed_methods, reason = "a test of files reads files")]

use std::net::IpAddr;
use steersman::geo::{Atlas, Code, GeoTable, Match, Places, Rule};

#[allow(dead_code, reason = "its main is for `cargo run --example make-geoip`")]
#[path = "../examples/make-geoip.rs"]
mod make_geoip;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/geoip/{name}", env!("CARGO_MANIFEST_DIR"))).expect("a committed file")
}

fn source() -> String {
    String::from_utf8(file("places.txt")).expect("text")
}

fn atlas() -> Atlas {
    Atlas::load(Some(&file("city.mmdb")), Some(&file("asn.mmdb"))).expect("the databases that the repository ships")
}

fn addr(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn the_committed_databases_are_made_from_places_txt() {
    let made = make_geoip::make(&source()).expect("places.txt is sound");
    let hint = "run `cargo run --example make-geoip` and commit what it writes";
    assert!(made.city == file("city.mmdb"), "geoip/city.mmdb is not what geoip/places.txt says; {hint}");
    assert!(made.asn == file("asn.mmdb"), "geoip/asn.mmdb is not what geoip/places.txt says; {hint}");
}

#[test]
fn every_place_of_the_source_is_found_at_its_first_address() {
    let (atlas, source) = (atlas(), source());
    let lines: Vec<&str> = source.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert!(lines.len() > 30);
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let known = |index: usize| Some(words[index]).filter(|word| *word != "-");
        let place = atlas.place_of(addr(words[0].split('/').next().unwrap_or_default()));
        assert_eq!(place.continent, known(1).and_then(Code::parse), "{line}");
        assert_eq!(place.country, known(2).and_then(Code::parse), "{line}");
        assert_eq!(place.subdivision.as_deref(), known(3), "{line}");
        assert_eq!(place.asn, known(4).map(|asn| asn.parse().expect("a number")), "{line}");
        assert!(place.continent.is_none_or(Code::is_continent) && place.country.is_none_or(Code::is_country), "{line}");
    }
}

#[test]
fn a_faulty_line_is_named_by_its_number() {
    for (text, expected) in [
        ("# fine\n192.0.2.0/24 EU DE\n", "places.txt:2: not a place: 192.0.2.0/24 EU DE"),
        ("192.0.2.1/24 EU DE - -\n", "places.txt:1: not a place: 192.0.2.1/24 EU DE - -"),
        ("192.0.2.0/24 EU DE - -\n192.0.2.0/24 EU FR - -\n", "places.txt: 192.0.2.0/24 is there twice"),
    ] {
        assert_eq!(make_geoip::make(text).err().map(|error| error.to_string()).as_deref(), Some(expected));
    }
}

#[test]
fn a_rule_on_a_country_steers_its_clients_and_scopes_the_answer_to_them() {
    let germany = Match(vec![Places { countries: vec![Code(*b"DE")], ..Places::default() }]);
    let table = GeoTable::compile(&[Rule { when: germany, child: 1 }], 0, &atlas());
    for (client, children, len) in [
        ("127.1.0.1", &[1, 0][..], 16),
        ("127.2.0.1", &[0][..], 15),
        ("192.0.2.1", &[1, 0][..], 25),
        ("192.0.2.129", &[0][..], 25),
        ("2001:db8:1::1", &[1, 0][..], 48),
        ("2001:db8:2::1", &[0][..], 47),
    ] {
        let cell = table.look_up(addr(client));
        assert_eq!((cell.children, cell.len), (children, len), "{client}");
    }
}

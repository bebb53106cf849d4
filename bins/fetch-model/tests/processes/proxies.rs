//! A way out that leads through a proxy. The Hub stands in for it: it answers requests for any host.

use crate::hub::sample;
use crate::hub::{Hub, Seen};
use crate::process::{Program, eventually};

fn proxied(seen: &[Seen], path: &str) -> Vec<Option<String>> {
    let mut hosts: Vec<_> =
        seen.iter().filter(|seen| seen.path.starts_with(path)).map(|s| s.proxied_to.clone()).collect();
    hosts.dedup();
    hosts
}

#[test]
fn http_proxy_is_used_for_the_hub_and_for_the_host_of_its_files() {
    let (hub, dir) = (Hub::start(vec![sample::repo("acme/tiny")]), tempfile::tempdir().unwrap());
    let variables = [("HTTP_PROXY", &*hub.url()), ("HF_ENDPOINT", "http://hub.invalid")];
    Program::start(dir.path(), &["acme/tiny"], &variables).succeed();
    let seen = hub.seen();
    assert_eq!(proxied(&seen, "/api/"), [Some("hub.invalid".to_owned())]);
    assert_eq!(proxied(&seen, "/acme/"), [Some("hub.invalid".to_owned())]);
    assert!(!proxied(&seen, "/cdn/").is_empty() && !proxied(&seen, "/cdn/").contains(&None));
}

#[test]
fn no_proxy_is_honoured() {
    let (hub, dir) = (Hub::start(vec![sample::repo("acme/tiny")]), tempfile::tempdir().unwrap());
    let variables = [("HTTP_PROXY", &*hub.url()), ("NO_PROXY", "127.0.0.1"), ("HF_ENDPOINT", "http://hub.invalid")];
    Program::start(dir.path(), &["acme/tiny"], &variables).succeed();
    assert_eq!(proxied(&hub.seen(), "/acme/"), [Some("hub.invalid".to_owned())]);
    assert_eq!(proxied(&hub.seen(), "/cdn/"), [None]);
}

#[test]
fn https_proxy_is_asked_for_a_tunnel() {
    let (hub, dir) = (Hub::start(vec![]), tempfile::tempdir().unwrap());
    let variables = [("HTTPS_PROXY", &*hub.url()), ("HF_ENDPOINT", "https://hub.invalid")];
    let _program = Program::start(dir.path(), &["acme/tiny"], &variables);
    let asked = |seen: &Seen| seen.method == "CONNECT" && seen.proxied_to.as_deref() == Some("hub.invalid:443");
    assert!(eventually(|| hub.seen().iter().any(asked)), "{:?}", hub.seen());
}

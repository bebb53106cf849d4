//! Eight programs at once on an empty directory.

use std::time::Duration;

use crate::hub::Hub;
use crate::hub::sample::{self, WEIGHTS};
use crate::process::{LARGE, Program, assert_whole, eventually, holder, slow_hub, there};

fn eight(dir: &std::path::Path, hub: &Hub) -> Vec<Program> {
    (0..8).map(|_| Program::fetch(dir, hub)).collect()
}

#[test]
fn each_file_is_fetched_once_and_all_succeed() {
    let (hub, dir) = (slow_hub(Duration::from_millis(2)), tempfile::tempdir().unwrap());
    eight(dir.path(), &hub).into_iter().for_each(Program::succeed);
    assert_whole(dir.path());
    assert_eq!(hub.sent(WEIGHTS), LARGE.len());
    for (file, bytes) in sample::checkpoint().into_iter().filter(|(file, _)| file != WEIGHTS) {
        assert_eq!(hub.sent(&file), bytes.len() as u64, "{file}");
    }
}

#[test]
fn one_that_is_killed_while_it_fetches_does_not_hold_up_the_others() {
    let (hub, dir) = (slow_hub(Duration::from_millis(2)), tempfile::tempdir().unwrap());
    let mut programs = eight(dir.path(), &hub);
    assert!(eventually(|| there(dir.path()) > LARGE.len() / 4));
    let victim = holder(dir.path()).expect("somebody fetches");
    let position = programs.iter_mut().position(|program| program.id() == victim).expect("it is one of them");
    assert!(programs.swap_remove(position).kill());
    let left = there(dir.path());
    assert!(left > LARGE.len() / 4);
    hub.forget();
    programs.into_iter().for_each(Program::succeed);
    assert_whole(dir.path());
    let sent = hub.sent(WEIGHTS);
    assert!(sent + left <= LARGE.len() * 101 / 100, "{left} bytes were there, and {sent} were fetched");
}

//! What the list says of versions, of other programs' directories and of downloads that did not end.

use std::fs;
use std::time::SystemTime;

use model_cache::{ModelState, Problem};

use super::handmade::{DAY, Handmade, NEW, OLD, age, checkpoint, gguf, offline, write};

#[test]
fn nothing_is_there_before_the_first_download() {
    let dir = tempfile::tempdir().unwrap();
    let inventory = offline(&dir.path().join("absent")).list().unwrap();
    assert!(inventory.models.is_empty() && inventory.unfinished.is_empty());
}

#[test]
fn each_version_has_its_size_its_names_and_its_state() {
    let handmade = Handmade::with_two_versions();
    handmade.refer("acme/tiny", "refs/pr/1", NEW);
    handmade.cache().pin(&format!("acme/tiny@{OLD}").parse().unwrap()).unwrap();
    let inventory = handmade.cache().list().unwrap();
    let [old, new] = &inventory.models[..] else { panic!("{inventory:?}") };
    assert_eq!((old.commit.as_deref(), new.commit.as_deref()), (Some(OLD), Some(NEW)));
    assert_eq!(old.references, [] as [&str; 0]);
    assert_eq!(new.references, ["main", "refs/pr/1"]);
    assert_eq!((old.pinned, new.pinned, old.in_use, new.in_use), (true, false, false, false));
    assert_eq!((&old.state, &new.state, new.files), (&ModelState::Whole, &ModelState::Whole, 3));
    let shared: u64 = checkpoint(0)[..2].iter().map(|(_, bytes)| bytes.len() as u64).sum();
    assert_eq!((old.shared, new.shared), (shared, shared));
    assert_eq!(new.size, checkpoint(200).iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
    assert_eq!(inventory.size, old.size + new.size - shared, "shared bytes count once");
}

#[test]
fn what_is_not_whole_says_what_is_missing() {
    let handmade = Handmade::with_two_versions();
    fs::remove_file(handmade.snapshot("acme/tiny", OLD).join("model.safetensors")).unwrap();
    handmade.version("acme/gguf", OLD, &vec![("tiny-Q8_0.gguf", gguf()), ("config.json", b"{}".to_vec())]);
    handmade.version("acme/broken", OLD, &vec![("tiny-Q8_0.gguf", b"GGML and so on".to_vec())]);
    let python = handmade.path().join("acme--python");
    write(&python, &checkpoint(3));
    write(&handmade.path().join("datasets--acme--other"), &vec![("a.txt", b"a".to_vec())]);
    let inventory = handmade.cache().list().unwrap();
    let seen: Vec<_> = inventory.models.iter().map(|model| (model.repo.to_string(), &model.state)).collect();
    let [(_, broken), (_, gguf), (python_name, python_state), (_, old), (_, new)] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert!(matches!(broken, ModelState::Incomplete(faults) if faults[0].file == "tiny-Q8_0.gguf"));
    assert_eq!((gguf, new), (&&ModelState::GgufOnly, &&ModelState::Whole));
    assert_eq!((python_name.as_str(), python_state), ("acme/python", &&ModelState::Whole));
    assert!(matches!(old, ModelState::Incomplete(faults) if faults[0].problem == Problem::Missing), "{old:?}");
    assert_eq!(inventory.models[2].commit, None);
}

#[test]
fn to_look_at_a_model_is_not_to_use_it() {
    let handmade = Handmade::with_two_versions();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        age(&handmade.blob("acme/tiny", OLD, file), 9 * DAY);
        age(&handmade.blob("acme/tiny", NEW, file), 9 * DAY);
    }
    age(&handmade.blob("acme/tiny", NEW, "model.safetensors"), 2 * DAY);
    // What both have was read by whoever uses either.
    age(&handmade.blob("acme/tiny", NEW, "config.json"), DAY);
    for _ in 0..2 {
        let models = handmade.cache().list().unwrap().models;
        let days = |index: usize| {
            let at: SystemTime = models[index].last_use.unwrap();
            at.elapsed().unwrap().as_secs() / DAY.as_secs()
        };
        assert_eq!((days(0), days(1)), (9, 2));
    }
}

#[test]
fn downloads_that_did_not_end_are_listed() {
    let handmade = Handmade::with_two_versions();
    let digest = "a".repeat(64);
    let partial = handmade.repo("acme/tiny").join("partial").join(format!("{digest}.nonce"));
    write(&partial, &vec![("bytes", vec![1; 8192]), ("ranges", vec![0; 8])]);
    fs::write(handmade.repo("acme/tiny").join("blobs/etag.incomplete"), b"abc").unwrap();
    let listings = handmade.repo("acme/tiny").join("listings");
    let listing = format!(
        r#"{{"files": [{{"path": "model.safetensors", "size": 99999, "digest": "{digest}"}}], "checkpoint": []}}"#
    );
    fs::create_dir_all(&listings).unwrap();
    fs::write(listings.join(format!("{}.json", "3".repeat(40))), listing).unwrap();
    let locks = handmade.path().join(".locks/models--acme--tiny");
    fs::create_dir_all(&locks).unwrap();
    let inventory = handmade.cache().list().unwrap();
    let [ours, foreign] = &inventory.unfinished[..] else { panic!("{inventory:?}") };
    assert_eq!((ours.file.as_deref(), ours.live), (Some("model.safetensors"), false));
    assert!(ours.bytes >= 8192 && ours.bytes < 99999, "{}", ours.bytes);
    assert_eq!((foreign.file.as_deref(), foreign.live), (None, false));
    // A lease that was written just now, by nobody knows whom, is taken for a living process's.
    fs::write(locks.join(format!("{digest}.lease")), "{}").unwrap();
    assert!(handmade.cache().list().unwrap().unfinished[0].live);
}

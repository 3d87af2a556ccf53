//! `token`: a secret that is shown once, and an entry that can be appended to the file.

use sha2::{Digest, Sha256};

use super::program::{command, finish};

fn run(arguments: &[&str]) -> super::program::Ended {
    finish(command(arguments).spawn().unwrap(), b"")
}

#[test]
fn the_entry_goes_to_standard_output_and_its_token_to_standard_error() {
    let ended = run(&["token", "--name", "anna", "--role", "operate", "--max-waiting", "5"]);
    assert_eq!(ended.code, 0, "{}", ended.said);
    let token = ended.said.lines().last().unwrap();
    assert!(
        token.len() == 43 && token.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)),
        "{token}"
    );
    let hash: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    let expected =
        format!("[[token]]\nname = \"anna\"\nrole = \"operate\"\nsha256 = \"{hash}\"\nmax_waiting = 5\n");
    assert_eq!(ended.out, expected);
}

#[test]
fn a_name_that_no_file_may_hold_is_refused() {
    let ended = run(&["token", "--name", "anna \"b"]);
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert!(ended.said.contains("--name") && ended.said.contains("letters"), "{}", ended.said);
}

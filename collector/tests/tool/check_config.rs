//! `check-config`: what serving would go by, where it is from, and what could not be used; nothing is touched.

use std::fs;

use super::program::{Ended, command, finish, text};

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let arguments = [&["check-config"], arguments].concat();
    let mut command = command(&arguments);
    command.env("STATE_DIRECTORY", "/no/such/state").envs(variables.iter().copied());
    finish(command.spawn().unwrap(), b"")
}

#[test]
fn each_value_stands_with_where_it_is_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    fs::write(&file, "free_after_idle = '5m'\ntraces_url = 'http://otel:4318'\n[[backend]]\nurl = 'http://user:geheim@gpu-1:8188'\n").unwrap();
    let file = text(&file);
    let ended =
        run(&["--config", file, "--listen", "127.0.0.1:1"], &[("ORCHESTRATOR_COLLECTOR_LOG", "debug")]);
    assert_eq!(ended.code, 0, "{}", ended.said);
    ended.says(&["the configuration can be used"]);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = ended.out.lines().map(words).collect();
    for line in [
        "KEY VALUE FROM".to_owned(),
        "listen 127.0.0.1:1 --listen".to_owned(),
        format!("free_after_idle 5m {file}"),
        format!("traces_url http://otel:4318 {file}"),
        format!("backend gpu-1-8188 http://gpu-1:8188/, agent http://gpu-1:9188/ {file}"),
        "log debug $ORCHESTRATOR_COLLECTOR_LOG".to_owned(),
        "state_directory /no/such/state default".to_owned(),
        "tls_key - default".to_owned(),
    ] {
        assert!(lines.contains(&line), "{line} is not in\n{}", ended.out);
    }
    assert!(!ended.out.contains("geheim"));
}

#[test]
fn what_cannot_be_used_is_refused_as_the_start_would_refuse_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, tokens) = (folder.path().join("c.toml"), folder.path().join("tokens.toml"));
    fs::write(&tokens, "[[token]]\nname = 'anna'").unwrap();
    for (content, wanted) in [
        ("listen = '0.0.0.0:8288'".to_owned(), &["--token-file"][..]),
        ("listn = '0.0.0.0:8288'".to_owned(), &["line 1", "listn"]),
        (format!("token_file = '{}'", text(&tokens)), &["tokens.toml", "line 1"]),
        ("log = 'loud'".to_owned(), &["\"loud\" is none of"]),
    ] {
        fs::write(&file, content).unwrap();
        run(&["--config", text(&file)], &[]).fails(1, wanted);
    }
}

#[test]
fn quiet_is_for_machines() {
    let ended = run(&["--quiet"], &[]);
    assert_eq!((ended.code, ended.out.as_str(), ended.said.as_str()), (0, "", ""));
}

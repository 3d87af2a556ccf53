use super::*;

fn flags(arguments: &[&str]) -> ServeFlags {
    use clap::Parser;
    Flags::try_parse_from(["orchestrator-collector", "--state-directory", "/s"].iter().chain(arguments))
        .unwrap()
        .serve
}

fn file(text: &str) -> Result<Vec<Backend>, ConfigError> {
    backends(Vec::new(), file::parse(text).unwrap().backend)
}

#[test]
fn without_anything_the_comfyui_of_this_machine_is_the_backend() {
    let config = Config::load(flags(&[])).unwrap();
    let [backend] = config.backends.as_slice() else { panic!("{:?}", config.backends) };
    assert_eq!(
        (backend.url.as_str(), backend.agent.as_str()),
        ("http://127.0.0.1:8188/", "http://127.0.0.1:9188/")
    );
    assert_eq!(backend.id.as_str(), "127.0.0.1-8188");
    assert_eq!(config.listen, DEFAULT_LISTEN.parse().unwrap());
}

#[test]
fn a_flag_goes_before_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("collector.toml");
    std::fs::write(
        &path,
        "listen = '127.0.0.1:1'\nfree_after_idle = 'never'\n[[backend]]\nurl = 'http://a:1'",
    )
    .unwrap();
    let path = path.to_str().unwrap();
    let config =
        Config::load(flags(&["--config", path, "--listen", "127.0.0.1:2", "--backend", "http://b:2"]))
            .unwrap();
    assert_eq!((config.listen.port(), config.backends[0].id.as_str()), (2, "b-2"));
    assert_eq!(config.freeing.after_idle, None);
}

#[test]
fn each_reason_to_free_memory_has_a_switch_of_its_own() {
    let freeing = |arguments: &[&str]| Config::load(flags(arguments)).unwrap().freeing;
    let unset = freeing(&[]);
    assert_eq!((unset.for_others, unset.below_host_memory), (Some(0.1), Some(0.05)));
    assert!(unset.after_out_of_memory && unset.before_jobs && unset.after_idle.is_some());
    for (flag, value, wanted) in [
        ("--free-after-idle", "never", Freeing { after_idle: None, ..unset }),
        ("--free-for-others", "25%", Freeing { for_others: Some(0.25), ..unset }),
        ("--free-below-host-memory", "never", Freeing { below_host_memory: None, ..unset }),
        ("--free-after-out-of-memory", "false", Freeing { after_out_of_memory: false, ..unset }),
        ("--free-before-jobs", "false", Freeing { before_jobs: false, ..unset }),
    ] {
        assert_eq!(freeing(&[flag, value]), wanted, "{flag}");
    }
}

#[test]
fn a_fleet_that_is_unlike_most_is_routed_by_other_numbers() {
    let routing = |arguments: &[&str]| Config::load(flags(arguments)).unwrap().routing;
    let five_minutes = Duration::from_secs(300);
    let unset = Routing { tempo: 1.0, overdue_after: five_minutes, fairness: 1.0 };
    assert_eq!(routing(&[]), unset);
    let (_folder, path) = secret("route_tempo = 10\nroute_overdue_after = '20s'\nroute_fairness = 2.5");
    let in_file = Routing { tempo: 10.0, overdue_after: Duration::from_secs(20), fairness: 2.5 };
    assert_eq!(routing(&["--config", &path]), in_file);
    let given = ["--config", &path, "--route-tempo", "0.5", "--route-fairness", "0"];
    assert_eq!(routing(&given), Routing { tempo: 0.5, fairness: 0.0, ..in_file });
}

#[test]
fn names_and_agents_are_made_from_addresses() {
    let text = "[[backend]]\nurl = 'http://[::1]:8188/comfy/one'\n[[backend]]\nurl = 'https://u:p@h'\nname = 'x'\n\
                [[backend]]\nurl = 'http://h:65000'\nagent = 'http://h:1'";
    let backends = file(text).unwrap();
    let shown: Vec<(&str, &str)> = backends.iter().map(|b| (b.id.as_str(), b.agent.as_str())).collect();
    assert_eq!(shown[0], ("__1-8188-comfy_one", "http://[::1]:9188/"));
    assert_eq!(shown[1], ("x", "http://h:1443/"));
    assert_eq!(shown[2], ("h-65000", "http://h:1/"));
    let highest = file("[[backend]]\nurl = 'http://h:65000'").unwrap();
    assert_eq!(highest[0].agent.as_str(), "http://h:65000/");
}

#[test]
fn one_server_is_not_two_backends() {
    assert!(matches!(
        file("[[backend]]\nurl='http://a'\n[[backend]]\nurl='http://a/'"),
        Err(ConfigError::SameAddress(_))
    ));
    let same_name = "[[backend]]\nurl='http://a'\nname='x'\n[[backend]]\nurl='http://b'\nname='x'";
    assert!(matches!(file(same_name), Err(ConfigError::SameName(_))));
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_line_and_what_is_allowed() {
    for (text, wanted) in [
        ("lissten = '127.0.0.1:1'", &["line 1", "lissten", "listen"][..]),
        ("\nlisten = 'here'", &["line 2", "invalid socket address"]),
        ("[[backend]]\nurl = 'gpu-1:8188'", &["line 2", "http://HOST:PORT"]),
        ("[[backend]]\nurl = 'http://a'\nnmae = 'a'", &["line 3", "nmae", "name"]),
        ("[[backend]]\nname = 'a'", &["line 1", "missing field `url`"]),
        ("free_after_idle = '10 parsecs'", &["line 1", "never"]),
        ("free_for_others = '0.1'", &["line 1", "10%", "never"]),
        ("free_below_host_memory = '0%'", &["line 1", "above 0%"]),
        ("poll_interval = '1ms'", &["line 1", "50ms to 60s"]),
        ("route_tempo = 0.0", &["line 1", "0.1 to 1000"]),
        ("route_fairness = '1'", &["line 1", "expected a number, without quotes"]),
        ("max_body_bytes = -1", &["line 1", "expected a whole number"]),
        ("route_fairness = -1.0", &["line 1", "0 to 100"]),
        ("route_overdue_after = '2days'", &["line 1", "1ms to 1day"]),
        ("history_jobs = 0", &["line 1", "1 to 10000000"]),
        ("history_bytes = 1000", &["line 1", "1048576"]),
        ("history_age = 'a while'", &["line 1", "never"]),
        ("[[backend]]\nurl = 'http://a'\nname = 'a/b'", &["line 3", "letters"]),
        ("listen = ", &["line 1"]),
    ] {
        let error = file::parse(text).unwrap_err();
        assert!(wanted.iter().all(|part| error.contains(part)), "{text:?} gives\n{error}");
    }
}

#[test]
fn how_long_ended_jobs_are_remembered_is_configured() {
    let bounds = |arguments: &[&str]| {
        let history = Config::load(flags(arguments)).unwrap().history;
        (history.jobs, history.age.map(|age| age.as_secs()), history.bytes)
    };
    assert_eq!(bounds(&[]), (10_000, None, 1 << 30));
    let (_folder, path) = secret("history_jobs = 5\nhistory_age = '2h'\nhistory_bytes = 2097152");
    assert_eq!(bounds(&["--config", &path]), (5, Some(7200), 2 << 20));
    assert_eq!(
        bounds(&["--config", &path, "--history-jobs", "7", "--history-age", "never"]),
        (7, None, 2 << 20)
    );
}

const TOKEN: &str = "0123456789abcdef";

/// A folder with one file, and the file's path.
fn secret(content: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, content).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

#[test]
fn agents_are_shown_the_token_of_the_files_first_line_and_no_output_shows_it() {
    let (_folder, path) = secret(&format!("  {TOKEN} \r\nanother line"));
    let config = Config::load(flags(&["--agent-token-file", &path])).unwrap();
    let shown = config.agents.authorization(&config.backends[0].agent, &config.backends).unwrap();
    assert_eq!(shown.to_str().unwrap(), format!("Bearer {TOKEN}"));
    let debug = format!("{config:?}");
    assert!(debug.contains("Sensitive") && !debug.contains(TOKEN), "{debug}");
}

#[test]
fn the_token_is_for_no_address_of_a_comfyui() {
    let (_folder, path) = secret(TOKEN);
    let agents = Agents::read(Some(path.as_ref()), None).unwrap();
    let backends = file(
        "[[backend]]\nurl = 'https://a'\n[[backend]]\nurl = 'http://b:8188/x'\n[[backend]]\nurl = 'http://c:65000'",
    );
    let backends = backends.unwrap();
    for (agent, expected) in [
        ("http://a:9188", true),
        ("http://b:9188", true),
        ("https://b", true),
        ("https://a/", false),
        ("https://a:443/agent", false),
        ("http://b:8188", false),
        ("https://b:8188", false),
        ("http://c:65000", false),
    ] {
        let shown = agents.authorization(&agent.parse().unwrap(), &backends);
        assert_eq!(shown.is_some(), expected, "{agent}");
    }
}

#[test]
fn a_file_without_a_token_is_refused_with_its_key_and_what_to_do() {
    let (_empty, empty) = secret("\n0123456789abcdef");
    let (_blank, blank) = secret("0123456789 abcdef");
    for (path, expected) in [
        (empty.as_str(), &["no token in the first line", "--token-file"][..]),
        (&blank, &["no header can carry", "--token-file"]),
        ("/no/such/file", &["cannot read", "No such file"]),
    ] {
        let told = Config::load(flags(&["--agent-token-file", path])).unwrap_err().to_string();
        assert!(told.contains(path) && told.contains("agent_token_file"), "{told}");
        assert!(expected.iter().all(|part| told.contains(part)), "{told}");
        assert!(!told.contains("abcdef"), "{told}");
    }
    let told = Config::load(flags(&["--agent-ca-file", "/no/such/file"])).unwrap_err().to_string();
    assert!(told.contains("agent_ca_file") && told.contains("/no/such/file"), "{told}");
}

#[test]
fn the_flag_for_the_token_goes_before_the_files_key() {
    let (_folder, path) = secret(TOKEN);
    let (_other, configuration) = secret("agent_token_file = '/no/such/file'");
    let named = Config::load(flags(&["--config", &configuration])).unwrap_err().to_string();
    assert!(named.contains("/no/such/file"), "{named}");
    Config::load(flags(&["--config", &configuration, "--agent-token-file", &path])).unwrap();
}

#[test]
fn another_site_is_named_exactly() {
    for vague in
        ["*", "null", "app.example", "https://*.example/x", "https://app.example/path", "ftp://app.example"]
    {
        let (_folder, path) = secret(&format!("cors_origins = ['{vague}']"));
        let refused = Config::load(flags(&["--config", &path])).unwrap_err().to_string();
        assert!(refused.contains("write it as https://HOST"), "{vague}: {refused}");
    }
}

#[test]
fn traces_are_sent_where_a_flag_or_the_file_says_and_no_password_stands_there() {
    let (_folder, path) = secret("traces_url = 'http://collector:4318'");
    let traces = |arguments: &[&str]| Config::load(flags(arguments)).unwrap().traces;
    assert_eq!(traces(&[]), None);
    assert_eq!(traces(&["--config", &path]), Some("http://collector:4318".parse().unwrap()));
    let given = ["--config", &path, "--traces-url", "https://h/otlp"];
    assert_eq!(traces(&given), Some("https://h/otlp".parse().unwrap()));
    for bad in ["http://u:hunter2@h", "grpc://h:4317", "h:4318", "http://h?key=x"] {
        let (_folder, path) = secret(&format!("traces_url = '{bad}'"));
        let refused = Config::load(flags(&["--config", &path])).unwrap_err().to_string();
        let reason = refused.lines().last().unwrap();
        assert!(reason.contains("write it as http://HOST:4318") && !reason.contains("hunter2"), "{refused}");
    }
}

#[test]
fn who_may_ask_is_said_by_flags_before_the_file_and_half_a_certificate_is_refused() {
    let (_folder, path) = secret(
        "token_file = '/file'\nallowed_hosts = ['a', 'b']\ncors_origins = ['https://a.example']\ntls_certificate = '/c'\ntls_key = '/k'\ninsecure = true",
    );
    let of_file = Config::load(flags(&["--config", &path])).unwrap().access;
    assert_eq!(of_file.token_file, Some("/file".into()));
    assert_eq!(of_file.tls, Some(TlsFiles { certificate: "/c".into(), key: "/k".into() }));
    assert_eq!((of_file.insecure, of_file.allowed_hosts), (true, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(of_file.cors_origins, ["https://a.example/".parse().unwrap()]);
    let site = ["--cors-origin", "http://b.example:3000"];
    let arguments =
        [&["--config", &path, "--token-file", "/flag", "--allowed-host", "c"], &site[..]].concat();
    let of_flags = Config::load(flags(&arguments)).unwrap().access;
    assert_eq!(of_flags.cors_origins, ["http://b.example:3000/".parse().unwrap()]);
    assert_eq!((of_flags.token_file, of_flags.allowed_hosts), (Some("/flag".into()), vec!["c".to_owned()]));
    let half = Config::load(flags(&["--tls-certificate", "/c"])).unwrap_err().to_string();
    assert!(half.contains("tls_certificate and tls_key"), "{half}");
}

#[test]
fn an_interface_that_cannot_be_served_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let told = Config::load(flags(&["--interface-dir", path])).unwrap_err().to_string();
    assert!(told.contains(path) && told.contains("comfyui_frontend_package/static"), "{told}");
    std::fs::write(folder.path().join("index.html"), "").unwrap();
    let config = Config::load(flags(&["--interface-dir", path])).unwrap();
    assert_eq!(config.interface.folder.as_deref(), Some(folder.path()));
    let backends = ["--backend", "http://a:1", "--backend", "http://b:2"];
    let told = Config::load(flags(&[&backends[..], &["--interface-backend", "c-3"]].concat())).unwrap_err();
    assert!(told.to_string().contains("a-1, b-2"), "{told}");
    Config::load(flags(&[&backends[..], &["--interface-backend", "b-2"]].concat())).unwrap();
}

//! Starting: with a part of the fleet down it works, with a mistake it says what to do and touches nothing.

use std::net::TcpListener;
use std::path::Path;

use serde_json::json;
use sim::Generation;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::program::{Program, Refusal, configuration, refusal};
use super::prompts::{expected, picture};
use super::stage::{comfy, outcomes_of, takes_jobs};
use super::wait::until;

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Tries to start on a state directory, with a free port.
async fn refusal_on(state: &Path) -> Refusal {
    refusal(&["--listen", "127.0.0.1:0", "--state-directory", path(state)]).await
}

#[track_caller]
fn says(refusal: &Refusal, wanted: &[&str]) {
    let Refusal { said, .. } = refusal;
    assert!(wanted.iter().all(|part| said.contains(part)), "{wanted:?} in\n{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test]
async fn a_dead_backend_is_told_in_one_line_and_in_the_metrics_and_used_when_it_comes_up() {
    let state = tempfile::tempdir().unwrap();
    let comfys = [comfy(Generation::V0_8).await, comfy(Generation::V0_8).await];
    comfys[1].kill().await;
    let program = Program::start(&comfys, state.path()).await;
    takes_jobs(&program.client, "a", true).await;
    let up = |name: &str| format!("orchestrator_collector_backend_up{{backend=\"{name}\"}}");
    let down = async || program.client.metric(&up("b")).await.filter(|up| *up == 0.0);
    until("the dead one is counted", down).await;
    assert_eq!(program.client.metric(&up("a")).await, Some(1.0));
    comfys[0].hold();
    let first = program.client.submit(&picture(1)).await;
    comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let second = program.client.submit(&picture(2)).await;
    assert_eq!(program.client.queue().await, (vec![first], vec![second.clone()]));
    let lines = program.lines();
    let told: Vec<&String> = lines.iter().filter(|line| line.contains("backend is down")).collect();
    assert_eq!(told.len(), 1, "{lines:#?}");
    assert!(
        told[0].contains("WARN") && told[0].contains("backend=b") && told[0].contains(&comfys[1].url()),
        "{told:?}"
    );
    comfys[1].restart().await.unwrap();
    let history = program.client.succeeded(&second).await;
    assert_eq!(program.client.picture_in(&history).await, expected(2));
    assert_eq!(outcomes_of(&comfys[1], &second).len(), 1);
    assert_eq!(program.client.metric(&up("b")).await, Some(1.0));
}

#[tokio::test]
async fn it_is_healthy_and_ready_and_each_backends_figures_can_be_read() {
    let state = tempfile::tempdir().unwrap();
    let config = sim::ComfyConfig { python_node: true, ..super::stage::quick(Generation::V0_8) };
    let comfys = [sim::Comfy::start(config).await.unwrap()];
    let program = Program::start(&comfys, state.path()).await;
    takes_jobs(&program.client, "a", true).await;
    for route in ["/-/healthy", "/-/ready"] {
        assert_eq!(program.client.ask(route).await.0, 200, "{route}");
    }
    let figures = async || {
        let (status, figures) = program.client.ask("/orchestrator/metrics?backend=a").await;
        (status == 200).then_some(figures)
    };
    let figures = until("the agent answers", figures).await;
    assert_eq!((&figures["cpu_utilization"], &figures["ram_total"]), (&json!(12.5), &json!(65536)));
    assert_eq!(program.client.get("/orchestrator/metrics").await, json!({"a": figures}));
    assert_eq!(program.client.ask("/orchestrator/metrics?backend=z").await.0, 404);
    let info = format!("orchestrator_collector_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(program.client.metric(&info).await, Some(1.0));
}

#[tokio::test]
async fn a_mistake_in_the_configuration_is_told_with_file_line_key_and_what_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("collector.toml");
    let good = configuration(&[]);
    for (text, wanted) in [
        (format!("{good}nonsense = 1\n"), &["line 3", "nonsense", "free_after_idle"][..]),
        (format!("{good}[[backend]]\nurl = 'http://h:1'\nport = 1\n"), &["line 5", "port", "agent"]),
        (format!("{good}free_after_idle = 5\n"), &["line 3", "free_after_idle"]),
        (format!("{good}[[backend]]\nurl = 'h:1'\n"), &["line 4", "http://HOST:PORT"]),
    ] {
        std::fs::write(&file, &text).unwrap();
        let refusal = refusal(&["--config", path(&file), "--state-directory", path(directory.path())]).await;
        says(&refusal, wanted);
        says(&refusal, &["orchestrator-collector: ", path(&file)]);
        assert_eq!(refusal.code, 1);
    }
    let missing = directory.path().join("missing.toml");
    says(&refusal(&["--config", path(&missing)]).await, &["cannot read", path(&missing)]);
}

#[tokio::test]
async fn an_unknown_flag_or_a_value_that_is_none_is_refused_with_what_is_meant() {
    for (arguments, wanted) in [
        (&["--bakend", "http://h:1"][..], &["--bakend", "--backend"][..]),
        (&["--backend", "h"], &["http://HOST:PORT"]),
        (&["--poll-interval", "1ms"], &["50ms to 60s"]),
        (&["--free-after-idle", "soon"], &["10m", "never"]),
        (&["--listen", "8288"], &["--listen"]),
    ] {
        let refusal = refusal(arguments).await;
        says(&refusal, wanted);
        assert_eq!(refusal.code, 2);
    }
}

#[tokio::test]
async fn a_port_in_use_is_told_and_no_state_is_touched() {
    let state = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refusal = refusal(&["--listen", &address, "--state-directory", path(state.path())]).await;
    says(&refusal, &["cannot listen on", &address, "--listen"]);
    assert_eq!((refusal.code, std::fs::read_dir(state.path()).unwrap().count()), (1, 0));
}

#[tokio::test]
async fn a_database_that_is_a_text_file_is_refused_and_left_as_it_is() {
    let state = tempfile::tempdir().unwrap();
    let database = state.path().join("collector.sqlite");
    let text = "not a database, but somebody's notes\n".repeat(100);
    std::fs::write(&database, &text).unwrap();
    let refusal = refusal_on(state.path()).await;
    says(&refusal, &[path(&database), "--state-directory"]);
    assert_eq!((refusal.code, std::fs::read_to_string(&database).unwrap()), (1, text));
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let state = tempfile::tempdir().unwrap();
    let database = state.path().join("collector.sqlite");
    let options = SqliteConnectOptions::new().filename(&database).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query("CREATE TABLE notes (text TEXT)").execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let before = std::fs::read(&database).unwrap();
    let refusal = refusal_on(state.path()).await;
    says(&refusal, &[path(&database), "another program made it", "--state-directory"]);
    assert_eq!(refusal.code, 1);
    assert_eq!(std::fs::read(&database).unwrap(), before);
}

#[tokio::test]
async fn a_database_that_a_newer_program_wrote_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let program = Program::start(&[comfy(Generation::V0_8).await], state.path()).await;
    assert_eq!(program.stop().await, 0);
    let options = SqliteConnectOptions::new().filename(state.path().join("collector.sqlite"));
    let mut connection = options.connect().await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations SELECT 9999, description, installed_on, success, checksum, execution_time \
                 FROM _sqlx_migrations LIMIT 1";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let refusal = refusal_on(state.path()).await;
    says(&refusal, &["newer orchestrator-collector"]);
    assert_eq!(refusal.code, 1);
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_made_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let refusal = refusal_on(&file.join("state")).await;
    says(&refusal, &["cannot create the state directory", path(&file), "--state-directory"]);
    assert_eq!(refusal.code, 1);
}

#[tokio::test]
async fn a_second_collector_on_the_same_state_is_refused_and_the_first_goes_on() {
    let state = tempfile::tempdir().unwrap();
    let comfys = [comfy(Generation::V0_8).await];
    let program = Program::start(&comfys, state.path()).await;
    let refusal = refusal_on(state.path()).await;
    says(&refusal, &["in use by another orchestrator-collector", path(state.path()), "--state-directory"]);
    assert_eq!(refusal.code, 1);
    let id = program.client.submit(&picture(1)).await;
    program.client.succeeded(&id).await;
}

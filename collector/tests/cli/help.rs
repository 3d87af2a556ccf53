//! What the program says of itself.

use super::shell::run;

const COMMANDS: [&str; 8] = ["submit", "jobs", "job", "cancel", "backends", "drain", "resume", "free"];

#[tokio::test]
async fn each_command_explains_itself_with_two_examples_and_its_codes() {
    for command in COMMANDS {
        let help = run("http://h", &[command, "--help"]).await.succeeds().out;
        let examples = help.lines().filter(|line| line.starts_with("  orchestrator-collector ")).count();
        assert!(examples >= 2 && help.contains(&format!("\n  orchestrator-collector {command}")), "{help}");
        assert!(help.contains("Ends with") && help.contains("--server"), "{help}");
    }
}

#[tokio::test]
async fn completions_know_the_commands_and_their_flags() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run("http://h", &["completions", shell]).await.succeeds().out;
        for word in COMMANDS.iter().chain(&["follow", "token-file", "unload-models", "client-id"]) {
            assert!(script.contains(word), "{word} in {shell}");
        }
    }
}

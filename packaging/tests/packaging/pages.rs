//! The pages in docs/ say what the programs say of themselves.

use std::fs;

use libtest_mimic::{Failed, Trial};

use super::built::root;

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("pages::tables_are_what_the_code_makes", tables_are_what_the_code_makes)]
}

fn tables_are_what_the_code_makes() -> Result<(), Failed> {
    let folder = root().join("docs");
    for (name, made) in packaging::pages::made(&folder).map_err(|error| format!("{error:#}"))? {
        if fs::read_to_string(folder.join(name))? != made {
            return Err(
                format!("docs/{name} is not what the code makes: cargo run -p packaging -- pages").into()
            );
        }
    }
    Ok(())
}

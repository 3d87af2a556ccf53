//! What is made of the programs for those who install them. The programs' own descriptions are the source: nothing about a
//! flag is written twice.

pub mod dashboards;
pub mod install;
pub mod pages;

//! What the widgets of a workflow hold. Widgets that show the same field share a cell, and cells share long texts.

use std::rc::Rc;

use serde_json::Value;

#[derive(Debug, Default)]
pub(super) struct Values(Vec<Option<Rc<Value>>>);

impl Values {
    /// A new cell.
    pub(super) fn add(&mut self, value: Option<Value>) -> usize {
        self.0.push(value.map(Rc::new));
        self.0.len() - 1
    }

    /// A new cell that holds what another one does now.
    pub(super) fn add_copy(&mut self, of: usize) -> usize {
        self.0.push(self.shared(of));
        self.0.len() - 1
    }

    pub(super) fn get(&self, cell: usize) -> Option<&Value> {
        self.0.get(cell)?.as_deref()
    }

    pub(super) fn shared(&self, cell: usize) -> Option<Rc<Value>> {
        self.0.get(cell)?.clone()
    }

    pub(super) fn set(&mut self, cell: usize, value: Option<Rc<Value>>) {
        if let Some(held) = self.0.get_mut(cell) {
            *held = value;
        }
    }
}

//! A saved node put over what its class gives: which links end at which of its slots, and what its widgets hold.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::Interface;
use super::shape::{Shape, Slot, Specs};
use super::values::Values;
use super::widget::{Kind, truthy};
use crate::workflow::{self, WidgetValues};

impl<'w> Shape<'w> {
    /// Puts a saved node over a new one of its class.
    pub(super) fn restore(&mut self, saved: &workflow::Node, specs: &Specs<'w>, values: &mut Values) {
        self.restore_slots(&saved.inputs);
        match &saved.widgets_values {
            WidgetValues::Listed(listed) => {
                let listed = self.without_forced(listed, specs);
                self.restore_listed(&listed, values);
            }
            WidgetValues::Named(named) => self.restore_named(named, values),
        }
        self.drop_slots_without_widget();
    }

    /// The class says which slots there are, the saved node which links end there. Slots that only the saved node has
    /// were made by an extension of the interface and stay.
    pub(super) fn restore_slots(&mut self, saved: &[workflow::Input]) {
        let defined = self.inputs.len();
        for input in saved {
            let position = self.inputs.iter().take(defined).position(|slot| slot.name == input.name);
            match position.and_then(|position| self.inputs.get_mut(position)) {
                Some(slot) => {
                    slot.link = input.link;
                    slot.widget =
                        slot.widget.take().or_else(|| input.widget.as_ref().map(|w| w.name.clone()));
                }
                None => self.inputs.push(Slot::saved(input)),
            }
        }
    }

    /// Values in the order of the widgets. A value may bring further widgets along, which take the next ones.
    fn restore_listed(&mut self, listed: &[&Value], values: &mut Values) {
        let (mut at, mut listed) = (0, listed.iter());
        while let Some(widget) = self.widgets.get(at) {
            if widget.is_saved {
                let Some(value) = listed.next() else { break };
                self.set(at, Some((*value).clone()), values);
            }
            at += 1;
        }
    }

    fn restore_named(&mut self, named: &Map<String, Value>, values: &mut Values) {
        let mut at = 0;
        while let Some(widget) = self.widgets.get(at) {
            if let Some(value) = named.get(&widget.name).filter(|_| widget.is_saved) {
                self.set(at, Some(value.clone()), values);
            }
            at += 1;
        }
    }

    /// Sets the widget at a place, with what follows from it for the others behind it.
    fn set(&mut self, at: usize, value: Option<Value>, values: &mut Values) {
        let Some(widget) = self.widgets.get(at) else { return };
        let (kind, held) = (widget.kind.clone(), widget.hold(value.map(Rc::new)));
        values.set(widget.cell, held.clone());
        let is_filled = held.as_deref().is_some_and(truthy);
        match kind {
            Kind::Dynamic(options) => self.choose(at, options, held.as_deref(), values),
            Kind::Option if is_filled && at + 1 == self.widgets.len() => self.add_option(values),
            _ => {}
        }
    }

    /// Takes away what the last choice brought along and adds what the new one does; links stay where names do.
    fn choose(&mut self, at: usize, options: &'w [Value], chosen: Option<&Value>, values: &mut Values) {
        let Some(choice) = self.widgets.get(at).map(|widget| widget.name.clone()) else { return };
        let is_brought = |name: &str| name.strip_prefix(&choice).is_some_and(|rest| rest.starts_with('.'));
        self.widgets.retain(|widget| !is_brought(&widget.name));
        let (removed, kept) =
            std::mem::take(&mut self.inputs).into_iter().partition(|slot: &Slot| is_brought(&slot.name));
        self.inputs = kept;

        let mut brought = Shape::new(self.interface);
        if let Some(chosen) = chosen.filter(|chosen| truthy(chosen)) {
            brought.add_chosen(&choice, options, chosen, values);
        }
        for slot in &mut brought.inputs {
            let before: Option<&Slot> = removed.iter().find(|before: &&Slot| before.name == slot.name);
            slot.link = before.and_then(|before| before.link);
        }
        insert_behind(&mut self.widgets, at, brought.widgets);
        let own_slot = self.inputs.iter().position(|slot| slot.name == choice);
        insert_behind(&mut self.inputs, own_slot.unwrap_or(usize::MAX), brought.inputs);
    }

    /// Values without those of inputs that had a widget once and only take links today. That they are among the values shows
    /// in the number of values alone.
    fn without_forced<'v>(&self, listed: &'v [Value], specs: &Specs<'_>) -> Vec<&'v Value> {
        let all: Vec<&Value> = listed.iter().collect();
        let (forced, places) = self.forced(specs);
        let aligned = match self.interface {
            Interface::V1_35 => Some(all.clone()),
            Interface::V1_58 => self.aligned(&all, &forced),
        };
        let Some(aligned) = aligned.filter(|aligned| aligned.len() == places) else { return all };
        let is_kept = |(at, _): &(usize, &Value)| !forced.get(*at).copied().unwrap_or(false);
        aligned.into_iter().enumerate().filter(is_kept).map(|(_, value)| value).collect()
    }

    /// Which values belong to inputs that take only links today, and how many values there are when those are among them.
    /// 1.35 counts the control behind a seed as a place, but tells the values apart as if it were none.
    fn forced(&self, specs: &Specs<'_>) -> (Vec<bool>, usize) {
        let is_35 = self.interface == Interface::V1_35;
        let (mut forced, mut places) = (Vec::new(), 0);
        for spec in specs.values() {
            let is_forced = spec.is_set("forceInput");
            match self.widgets.iter().find(|widget| widget.name == spec.name) {
                None if !is_forced => continue,
                Some(widget) if !is_35 && !widget.is_saved => continue,
                _ => forced.push(is_forced),
            }
            let is_seed = is_35 && matches!(spec.name.as_str(), "seed" | "noise_seed");
            let has_control = is_seed || spec.is_set("control_after_generate");
            if has_control && !is_35 {
                forced.push(false);
            }
            places += if has_control { 2 } else { 1 };
        }
        (forced, places)
    }

    /// 1.58 leaves out the values at the places of widgets that are not saved. `None` where each saved widget has its value.
    fn aligned<'v>(&self, all: &[&'v Value], forced: &[bool]) -> Option<Vec<&'v Value>> {
        let saved = self.widgets.iter().filter(|widget| widget.is_saved).count();
        if !forced.contains(&true) && all.len() == saved {
            return None;
        }
        let is_saved = |at: usize| self.widgets.get(at).is_none_or(|widget| widget.is_saved);
        let compact: Vec<&Value> =
            all.iter().enumerate().filter(|(at, _)| is_saved(*at)).map(|(_, v)| *v).collect();
        Some(if compact.len() == forced.len() { compact } else { all.to_vec() })
    }

    /// A slot whose widget does not exist is taken away with its link; the interface looks no further than one behind.
    fn drop_slots_without_widget(&mut self) {
        let mut at = 0;
        while let Some(slot) = self.inputs.get(at) {
            let is_lost =
                slot.widget.as_ref().is_some_and(|name| !self.widgets.iter().any(|w| w.name == *name));
            if is_lost {
                self.inputs.remove(at);
            }
            at += 1;
        }
    }
}

fn insert_behind<T>(list: &mut Vec<T>, at: usize, items: Vec<T>) {
    let place = at.saturating_add(1).min(list.len());
    list.splice(place..place, items);
}

impl Slot {
    pub(super) fn saved(input: &workflow::Input) -> Self {
        Self {
            name: input.name.clone(),
            kind: input.kind.clone(),
            link: input.link,
            widget: input.widget.as_ref().map(|widget| widget.name.clone()),
        }
    }
}

//! The node's topics as they must be, and what happened to the node that excuses a refusal.

use std::collections::BTreeMap;
use std::rc::Rc;

use storage::ids::LogId;

use super::log::{Aftermath, LogModel};
use crate::metadata::{Image, Topic};
use crate::settings;
use crate::violation::{Rule, Verdict, Violation, ensure};

/// How far a topic's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its creation was asked for.
    Creating,
    /// Its creation was acknowledged.
    There,
    /// Its deletion was asked for.
    Deleting,
    /// Its deletion was acknowledged, or its creation refused.
    Gone,
}

/// One topic.
#[derive(Debug)]
pub struct TopicModel {
    /// Number of its name.
    pub name: u8,
    /// How far it has come.
    pub standing: Standing,
    /// The number of its settings, and one that was asked for and not acknowledged.
    pub profile: u8,
    /// See `profile`.
    pub configuring: Option<u8>,
    /// Its partitions.
    pub logs: Vec<LogModel>,
}

/// What happened to the node.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The disk was short of space since this process was started.
    pub full: bool,
    /// It still is.
    pub limited: bool,
    /// Writes and syncs that were made to fail, less the ends of processes that they explain.
    pub io: u32,
}

/// All that was promised.
#[derive(Debug, Default)]
pub struct Model {
    /// By id.
    pub topics: BTreeMap<[u8; 16], TopicModel>,
    /// The last generation that was begun.
    pub generation: u32,
    /// What excuses refusals.
    pub faults: Faults,
    /// The worst end since a process last told what it found.
    pub aftermath: Option<Aftermath>,
}

impl Model {
    /// The topic of that name, if a client may use it.
    pub fn usable(&self, name: u8) -> Option<([u8; 16], &TopicModel)> {
        let there = |topic: &TopicModel| topic.name == name && topic.standing == Standing::There;
        self.topics.iter().find(|(_, topic)| there(topic)).map(|(id, topic)| (*id, topic))
    }

    /// Whether the name is in use, or about to be or no longer to be.
    pub fn is_taken(&self, name: u8) -> bool {
        self.topics.values().any(|topic| topic.name == name && topic.standing != Standing::Gone)
    }

    /// The log, if its topic is not gone.
    pub fn log(&mut self, id: &LogId) -> Option<&mut LogModel> {
        let topic = self.topics.get_mut(&id.topic)?;
        (topic.standing != Standing::Gone)
            .then(|| topic.logs.get_mut(id.partition as usize))
            .flatten()
    }

    /// The log, which is there.
    pub fn log_of(&mut self, id: &LogId) -> Verdict<&mut LogModel> {
        let unknown = || Violation::new(Rule::Topics, format!("nobody created {id}"));
        self.log(id).ok_or_else(unknown)
    }

    /// A topic is about to be created.
    pub fn on_creating(&mut self, topic: &Topic) {
        let config = Rc::new(settings::profile(topic.profile));
        let logs = (0..topic.partitions).map(|_| LogModel::new(config.clone())).collect();
        let standing = Standing::Creating;
        let (name, profile) = (topic.name, topic.profile);
        let model = TopicModel { name, standing, profile, configuring: None, logs };
        self.topics.insert(topic.id, model);
    }

    /// A process has ended.
    pub fn on_end(&mut self, aftermath: Aftermath) {
        self.aftermath = self.aftermath.max(Some(aftermath));
    }

    /// A new process has read its metadata.
    pub fn on_image(&mut self, image: &Image) -> Verdict {
        for topic in image.topics() {
            let Some(model) = self.topics.get_mut(&topic.id) else {
                let text = format!("topic {} was never created", topic.name);
                return Err(Violation::new(Rule::Topics, text));
            };
            ensure(model.standing != Standing::Gone, Rule::Topics, || {
                format!("topic {} is there, and it was deleted or never created", topic.name)
            })?;
            let same = model.name == topic.name && model.logs.len() == topic.partitions as usize;
            ensure(same, Rule::Topics, || format!("topic {} is another: {topic:?}", topic.name))?;
            let settings =
                topic.profile == model.profile || Some(topic.profile) == model.configuring;
            ensure(settings, Rule::Topics, || {
                let (have, want) = (topic.profile, model.profile);
                format!("topic {} has settings {have}, acknowledged were {want}", topic.name)
            })?;
            model.standing = Standing::There;
            model.profile = topic.profile;
            model.configuring = None;
            let config = Rc::new(settings::profile(topic.profile));
            model.logs.iter_mut().for_each(|log| log.on_configured(config.clone()));
        }
        for (id, model) in &mut self.topics {
            if image.topic(id).is_some() {
                continue;
            }
            ensure(model.standing != Standing::There, Rule::Topics, || {
                format!("topic {} is not there, and its creation was acknowledged", model.name)
            })?;
            model.standing = Standing::Gone;
            model.logs.clear();
        }
        Ok(())
    }

    /// Recovery has begun a generation.
    pub fn on_generation(&mut self, generation: u32) -> Verdict {
        let before = self.generation;
        ensure(generation > before, Rule::Epoch, || {
            format!("generation {generation} follows {before}: leader epochs must grow")
        })?;
        self.generation = generation;
        Ok(())
    }
}

//! What the rule is tuned by. The README beside this file says what each does; the optimum is flat, so that hardly any operator
//! has to choose.

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// How many of the rule's seconds pass in one: all times here, and all that is taken for granted before anything was
    /// learned, suit jobs of some ten seconds, and where jobs are so many times shorter the rule is to be as much quicker.
    pub tempo: f64,
    /// After a load of cost L, jobs that need no load may run for `hot_budget` · L before an overdue group takes over.
    pub hot_budget: f64,
    /// A group is overdue once its oldest job is older than this, and than `overdue_waits` mean waits.
    pub overdue_seconds: f64,
    pub overdue_waits: f64,
    /// A job's weight doubles in this time, or in a mean wait where that is longer; and how much the square of its age in
    /// such times adds.
    pub ageing_seconds: f64,
    pub ageing_square: f64,
    /// How fast a tenant's weight falls once it is ahead of its share by more than `lag_grace_seconds`: to a half at a
    /// minute divided by this.
    pub lag_weight: f64,
    pub lag_grace_seconds: f64,
    /// A tenant's lead counts no further than this, so that its weight does not vanish.
    pub lag_most_seconds: f64,
    /// A group is not loaded where waiting for those who hold it costs at most this much of the load.
    pub patience_hot: f64,
    pub patience_warm: f64,
    /// By how much patience grows with each job a backend that waits, and how far.
    pub pressure_hot: f64,
    pub pressure_hot_most: f64,
    pub pressure_warm: f64,
    /// Worth of a second of load that is saved by running a job here and not elsewhere, beside a second of its run.
    pub advantage: f64,
    /// How much more a second of load counts than a second of running when a load is chosen.
    pub load_weight: f64,
    /// A load is shared by so many jobs of its group at most when it is chosen.
    pub batch_most: f64,
    /// How much the loads that a load causes later count.
    pub eviction_vram: f64,
    pub eviction_ram: f64,
    /// For how long ahead uses of what is evicted are expected.
    pub horizon_vram_seconds: f64,
    pub horizon_ram_seconds: f64,
    /// Time in which what is known of demand loses half its weight, roughly.
    pub demand_seconds: f64,
    /// A job of so many seconds is long, and such jobs leave this share of the backends to others that wait.
    pub long_seconds: f64,
    pub short_share: f64,
}

impl Policy {
    /// What `bench routing` has shown to do best.
    pub const TUNED: Self = Self {
        tempo: 1.0,
        hot_budget: 4.0,
        overdue_seconds: 300.0,
        overdue_waits: 8.0,
        ageing_seconds: 30.0,
        ageing_square: 0.6,
        lag_weight: 1.0,
        lag_grace_seconds: 100.0,
        lag_most_seconds: 240.0,
        patience_hot: 1.0,
        patience_warm: 1.0,
        pressure_hot: 1.0,
        pressure_hot_most: 50.0,
        pressure_warm: 0.3,
        advantage: 2.0,
        load_weight: 2.0,
        batch_most: 6.0,
        eviction_vram: 1.0,
        eviction_ram: 4.0,
        horizon_vram_seconds: 300.0,
        horizon_ram_seconds: 600.0,
        demand_seconds: 900.0,
        long_seconds: 60.0,
        short_share: 0.25,
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self::TUNED
    }
}

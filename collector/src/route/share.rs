//! Whose turn it is: start-time fair queueing over tenants. A job's start tag says when it would begin if every tenant with
//! waiting jobs were served by its weight at once, on a clock that runs with the work that is given out; how far its tag
//! is ahead of that clock is how far its tenant is ahead of its share.
//! (P. Goyal, H. Vin, H. Cheng: Start-time Fair Queuing, 1996.)

use super::key::{ByKey, TenantId};

/// Tenants without waiting jobs are looked through when there are more, and twice as many as last time.
const LOOKED_THROUGH: usize = 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    clock: f64,
    tenants: ByKey<TenantId, Tenant>,
    tenants_most: usize,
    /// Of those with waiting jobs, and how many those are.
    weight: f64,
    waiting: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tenant {
    weight: f64,
    waiting: usize,
    /// Where the tags of its jobs end.
    finish: f64,
}

impl Shares {
    /// A job waits; its start tag.
    pub(super) fn arrive(&mut self, tenant: TenantId, weight: f64, run_seconds: f64) -> f64 {
        self.forget_strangers();
        let tenant = self.tenants.entry(tenant).or_default();
        match tenant.waiting {
            0 => (self.waiting, self.weight) = (self.waiting + 1, self.weight + weight),
            _ => self.weight += weight - tenant.weight,
        }
        (tenant.weight, tenant.waiting) = (weight, tenant.waiting + 1);
        let start = tenant.finish.max(self.clock);
        tenant.finish = start + run_seconds / weight;
        start
    }

    /// A job waits no longer. Once none waits, nobody is ahead of anybody.
    pub(super) fn leave(&mut self, tenant: TenantId) {
        let Some(tenant) = self.tenants.get_mut(&tenant).filter(|tenant| tenant.waiting > 0) else { return };
        tenant.waiting -= 1;
        if tenant.waiting == 0 {
            (self.waiting, self.weight) = (self.waiting - 1, self.weight - tenant.weight);
        }
        if self.waiting == 0 {
            self.tenants.clear();
            (self.clock, self.weight) = (0.0, 0.0);
        }
    }

    /// A job of so many seconds that was not served waits no longer.
    pub(super) fn withdraw(&mut self, tenant: TenantId, run_seconds: f64) {
        if let Some(tenant) = self.tenants.get_mut(&tenant) {
            tenant.finish -= run_seconds / tenant.weight;
        }
        self.leave(tenant);
    }

    /// Who has no waiting job and is not ahead is to all decisions as one who never came.
    fn forget_strangers(&mut self) {
        if self.tenants.len() > self.tenants_most.max(LOOKED_THROUGH) {
            let clock = self.clock;
            self.tenants.retain(|_, tenant| tenant.waiting > 0 || tenant.finish > clock);
            self.tenants_most = 2 * self.tenants.len();
        }
    }

    /// Work of so many seconds is given out, while its job still counts as waiting.
    pub(super) fn serve(&mut self, run_seconds: f64) {
        if self.waiting > 0 {
            self.clock += run_seconds / self.weight;
        }
    }

    /// How far a job's tag is ahead of the clock, in seconds.
    pub(super) fn lead(&self, start: f64) -> f64 {
        start - self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: TenantId = TenantId(1);
    const BOB: TenantId = TenantId(2);

    #[test]
    fn who_sends_much_is_ahead_of_who_sends_little() {
        let mut shares = Shares::default();
        let annas: Vec<f64> = (0..10).map(|_| shares.arrive(ANNA, 1.0, 10.0)).collect();
        let bobs = shares.arrive(BOB, 1.0, 10.0);
        assert_eq!(annas.iter().map(|start| shares.lead(*start)).next_back(), Some(90.0));
        assert_eq!(shares.lead(bobs), 0.0);
        for _ in 0..10 {
            shares.serve(10.0);
        }
        assert_eq!(shares.lead(annas[9]), 40.0, "half of the work was hers");
    }

    #[test]
    fn a_heavier_tenant_is_ahead_by_less() {
        let mut shares = Shares::default();
        for _ in 0..4 {
            shares.arrive(ANNA, 4.0, 10.0);
            shares.arrive(BOB, 1.0, 10.0);
        }
        assert_eq!(shares.arrive(ANNA, 4.0, 10.0), 10.0);
        assert_eq!(shares.arrive(BOB, 1.0, 10.0), 40.0);
        shares.serve(50.0);
        assert_eq!(shares.lead(10.0), 0.0, "the clock runs by what all weigh together");
    }

    #[test]
    fn once_nobody_waits_nobody_is_ahead() {
        let mut shares = Shares::default();
        for _ in 0..3 {
            shares.arrive(ANNA, 1.5, 10.0);
        }
        (0..3).for_each(|_| shares.leave(ANNA));
        shares.leave(ANNA);
        let start = shares.arrive(ANNA, 1.0, 10.0);
        assert_eq!(shares.lead(start), 0.0);
        shares.serve(10.0);
        assert_eq!(shares.lead(start), -10.0);
    }

    #[test]
    fn of_clients_that_come_once_no_more_are_remembered_than_are_ahead() {
        let mut shares = Shares::default();
        shares.arrive(ANNA, 1.0, 10.0);
        for stranger in 10..10_000 {
            shares.arrive(TenantId(stranger), 1.0, 1.0);
            shares.serve(4.0);
            shares.leave(TenantId(stranger));
        }
        assert!(shares.tenants.len() <= LOOKED_THROUGH + 1, "{}", shares.tenants.len());
        assert!(shares.tenants.contains_key(&ANNA));
    }

    #[test]
    fn who_withdraws_jobs_is_where_it_was_before_them() {
        let mut shares = Shares::default();
        shares.arrive(BOB, 1.0, 10.0);
        for _ in 0..100 {
            shares.arrive(ANNA, 2.0, 10.0);
        }
        (0..100).for_each(|_| shares.withdraw(ANNA, 10.0));
        let start = shares.arrive(ANNA, 2.0, 10.0);
        assert_eq!(shares.lead(start), 0.0);
    }
}

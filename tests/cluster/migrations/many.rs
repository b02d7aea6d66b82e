//! Several migrations: as many at once as the config allows, and no more.

use crate::setting::{ONCE, RESTLESS, config, in_lab, most_at_once, number, run, runs_only_on, undisturbed, vm};
use crate::support::Config;
use crate::support::moves::is_outcome;

#[test]
fn two_vms_move_at_once_and_a_third_has_to_wait() {
    in_lab("two_vms_move_at_once_and_a_third_has_to_wait", |lab| {
        let guests = [1, 2, 3].map(|n| lab.guest(n, &format!("web{n}")).memory(80).start());
        let vms: Vec<String> = (1..).zip(&guests).map(|(n, guest)| vm(guest, n, RESTLESS)).collect();
        let limits = format!("{ONCE}at_once = 2\nat_once_per_host = 2");
        let config = Config::new(&config(lab, &limits, ", bandwidth = 8", &vms));
        let mut run = run(lab, &config);
        run.until(|event| event["type"] == "blocked" && event["gate"] == "budget");
        let first = run.until(is_outcome);
        let under_way = run.events.iter().filter(|event| event["type"] == "request").count();
        assert_eq!((under_way, &first["phase"]), (2, &"confirmed".into()), "until one has ended");
        (1..3).for_each(|_| assert_eq!(run.until(is_outcome)["phase"], "confirmed"));
        assert_eq!(most_at_once(&run.events, None), 2);
        for guest in &guests {
            let done =
                run.events.iter().find(|event| is_outcome(event) && event["vm"] == guest.name).expect("it moved");
            runs_only_on(lab, guest, number(&done["to"]));
        }
        undisturbed(&run);
        run.stop();
    });
}

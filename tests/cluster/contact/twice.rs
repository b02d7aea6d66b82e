//! A second copy of a VM, seen while not all hosts answer.

use crate::setting::{CALM, config, in_lab, run, vm};
use crate::support::Config;
use crate::support::lab::Lab;

/// Its hosts are as they were when it is dropped.
struct PoweredOff<'l>(&'l Lab, usize);

impl Drop for PoweredOff<'_> {
    fn drop(&mut self) {
        self.0.power_on(self.1);
    }
}

#[test]
fn a_vm_that_runs_twice_is_an_alarm_although_a_host_has_gone() {
    in_lab("a_vm_that_runs_twice_is_an_alarm_although_a_host_has_gone", |lab| {
        let web1 = lab.guest(1, "web1").start();
        let ghost = vm(&web1, 3, CALM).replace("web1", "ghost");
        let file = Config::new(&config(lab, "", "", &[vm(&web1, 1, CALM), ghost]));
        let mut run = run(lab, &file);
        // That it runs nowhere is known when all hosts have answered.
        run.until_type("alarm", "ghost");
        lab.power_off(3);
        let _off = PoweredOff(lab, 3);
        let is_down = |text: &str| text.starts_with("host lab3 went down");
        run.until(|event| event["text"].as_str().is_some_and(is_down));
        let _twin = lab.guest(2, "web1").uuid(&web1.uuid).start();
        let alarm = run.until_type("alarm", "web1");
        assert_eq!(alarm["text"], "web1 runs twice, on lab1 and on lab2: stop one, then release it");
        run.stop();
    });
}

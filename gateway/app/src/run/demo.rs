//! `rollcall demo`: the real gateway, a sample campus, simulated terminals.
//!
//! Promises: it listens on this machine alone; passwords and secrets are made up anew each time; its data is
//! thrown away at the end.
//!
//! Refuses: pretending. The terminals sign in over MQTT and wait for their acknowledgement like any other.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::System;
use anyhow::{Context as _, Result, anyhow};
use rollcall_config::{Environment, Loaded, Secret, Source, load_source};
use rollcall_domain::ids::DeviceId;
use rollcall_domain::ports::Clock;
use rollcall_simulator::sample::{self, Sample, Size};
use rollcall_simulator::trickle::{Arrival, Trickle, schedule};
use rollcall_simulator::{Fleet, Plan, Work};
use tracing::info;

use super::signals::{Signal, Signals};
use crate::clock::RealClock;
use crate::data_folder::DataFolder;
use crate::gateway::{Addresses, Gateway, Seed, new_password, new_secret};
use crate::{logging, output};

/// Most of a class arrives within this time.
const ARRIVE: Duration = Duration::from_secs(60);
/// The sessions began a minute before the start, and five minutes after that is late.
const LATE: Duration = Duration::from_secs(245);
const SEED: u64 = 7;

/// A terminal to try by hand, and somebody of its room who comes only when it says so.
struct Trial {
    device: DeviceId,
    secret: String,
    student: String,
}

impl Trial {
    /// At the first room's door, where the class of the teacher who signs in is.
    fn of(sample: &mut Sample, devices: &[(DeviceId, String)]) -> Option<Self> {
        let room = sample.rooms.first_mut()?;
        let (device, secret) = devices.iter().find(|(device, _)| *device == room.device)?.clone();
        Some(Trial { device, secret, student: room.students.pop()? })
    }
}

/// Who can sign in, and with what.
struct SignIns {
    admin: String,
    teacher: String,
    student: String,
}

pub(super) fn try_demo() -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(RealClock::new());
    System::new().block_on(async {
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let place = tempfile::Builder::new().prefix("rollcall-demo-").tempdir();
        let place = place.context("cannot make a folder for the demo")?;
        let people = SignIns { admin: new_password()?, teacher: new_password()?, student: new_password()? };
        let mut environment = Environment::default();
        environment.admin_password = Some(Secret::new(people.admin.clone()));
        let loaded = settings(&environment)?;
        let _log = logging::start(loaded.settings.log.level)?;
        let folder = DataFolder::open(&place.path().join("data"), [].iter())?;
        let gateway =
            Gateway::start(&loaded.settings, &environment, folder.path(), Arc::clone(&clock)).await?;
        let (mut sample, devices) = seed(&gateway, &loaded, &people, clock.as_ref()).await?;
        let trial = Trial::of(&mut sample, &devices).context("the sample campus has no terminal")?;
        let fleet = Fleet::start(plan(gateway.addresses(), &sample, devices), Arc::clone(&clock))?;
        output::print(&told(gateway.addresses(), &people, &trial)).context("cannot show where to look")?;
        info!("the demo is running; stop it with Ctrl-C");
        while !matches!(signals.next().await, Signal::Stop(_)) {}
        fleet.stop();
        gateway.stop().await;
        drop(folder);
        info!("the demo has ended; its data is gone");
        Ok(())
    })
}

fn settings(environment: &Environment) -> Result<Loaded> {
    let text = format!(
        "[campus]\nname = \"Demo campus\"\n[http]\nlisten = \"{}\"\n[mqtt]\nlisten = \"{}\"\n[log]\nlevel = \"warn\"\n",
        free(8080),
        free(1883)
    );
    let source = Source::new("demo".as_ref(), text.into_bytes());
    load_source(&source, environment).map_err(|problems| anyhow!("the demo's settings: {problems}"))
}

/// The usual port if nobody has it, else whichever is free.
fn free(port: u16) -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(usual) {
        Ok(_free) => usual,
        Err(_taken) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}

/// Writes the sample campus, its sign-ins and its terminals' secrets.
async fn seed(
    gateway: &Gateway,
    loaded: &Loaded,
    people: &SignIns,
    clock: &dyn Clock,
) -> Result<(Sample, Vec<(DeviceId, String)>)> {
    let settings = &loaded.settings;
    let (policy, zone) = (settings.policy(), &settings.campus.timezone);
    let sample = sample::campus(Size::default(), &gateway.pseudonyms(), &policy, clock.now(), zone)?;
    let passwords = [(sample.teacher, &people.teacher), (sample.student, &people.student)];
    let mut devices = Vec::new();
    for room in &sample.rooms {
        devices.push((room.device.clone(), new_secret()?));
    }
    let seed = Seed { events: sample.events.clone(), passwords: &passwords, secrets: &devices };
    gateway.seed(seed).await?;
    Ok((sample, devices))
}

/// Every room's class arrives at its terminal.
fn plan(addresses: Addresses, sample: &Sample, devices: Vec<(DeviceId, String)>) -> Plan {
    let arrivals = (0..).zip(&sample.rooms).flat_map(|(terminal, room)| {
        let trickle = Trickle {
            students: room.students.clone(),
            terminals: vec![terminal],
            over: ARRIVE,
            late_from: LATE,
            late_percent: 10,
            repeated_percent: 8,
            unknown_percent: 3,
        };
        schedule(SEED.wrapping_add(u64::try_from(terminal).unwrap_or_default()), &trickle)
    });
    let mut script: Vec<Arrival> = arrivals.collect();
    script.sort_by_key(|arrival| arrival.after);
    Plan {
        url: format!("mqtt://{}", addresses.mqtt),
        devices,
        work: Work::Script(script),
        in_flight: 4,
        patience: Duration::from_secs(60),
        run: "demo".to_owned(),
        seed: SEED,
    }
}

fn told(addresses: Addresses, people: &SignIns, trial: &Trial) -> String {
    let SignIns { admin, teacher, student } = people;
    let Trial { device, secret, student: away } = trial;
    let Addresses { http, mqtt, .. } = addresses;
    let (host, port) = (mqtt.ip(), mqtt.port());
    format!(
        r#"Rollcall demo

  open      http://{http}/
  teacher   teacher   {teacher}
  admin     admin     {admin}
  student   student   {student}
  terminals mqtt://{mqtt}

Sign in as teacher and open the session that is under way: its class is arriving now.

{away} is not on the way. To let them scan at the terminal {device}, whose secret is
{secret}, run this in another window:

mosquitto_pub -h {host} -p {port} -q 1 -u {device} -P {secret} -t rollcall/v1/{device}/scan -m '{{"student":"{away}","at":"'"$(date -u +%FT%TZ)"'"}}'

Ctrl-C ends the demo; its data is thrown away.
"#
    )
}

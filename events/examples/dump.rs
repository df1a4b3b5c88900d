use spiq_events::{Collection, sound::*};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut c = Cochlea::default();
    for kv in &a[3..] {
        let (k, v) = kv.split_once('=').unwrap();
        match k {
            "sens" => { c.sensitivities = v.split(',').map(|x| x.parse().unwrap()).collect(); continue }
            _ => {}
        }
        let x: f64 = v.parse().unwrap();
        match k {
            "channels" => c.channels = x as usize,
            "low" => c.low = x,
            "high" => c.high = x,
            "width" => c.width = x,
            "emph" => c.emphasis = x as f32,
            "loud" => c.loudness = x as f32,
            "part" => c.loud_part = x > 0.0,
            "mem" => c.membrane = x,
            "syn" => c.synapse = x,
            "ref" => c.refractory = x,
            "weight" => c.weight = x,
            "fat" => c.fatigue = x,
            "rec" => c.recovery = x,
            _ => panic!("{k}"),
        }
    }
    let t = Recordings::open(a[1].as_ref()).unwrap().spikes(c);
    let d = t.description().clone();
    let mut out = Vec::<u32>::new();
    let mut meta = Vec::<u32>::new();
    for (n, s) in t.enumerate() {
        let s = s.unwrap();
        meta.extend([s.label.unwrap(), s.speaker.unwrap()]);
        for (t, x) in s.events.t.iter().zip(&s.events.x) { out.extend([n as u32, *t as u32, *x as u32]); }
    }
    println!("{} {:?} spikes {} per recording {:.0}", d.count, d.train, out.len() / 3, out.len() as f64 / 3.0 / d.count as f64);
    let b = |v: &[u32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    std::fs::write(format!("{}.ev", a[2]), b(&out)).unwrap();
    std::fs::write(format!("{}.meta", a[2]), b(&meta)).unwrap();
}

//! The processor's type, from `/proc/cpuinfo`, whose keys differ from one architecture to the next.

/// As people write it; `None` where the text does not say.
pub fn model(cpuinfo: &str) -> Option<String> {
    let value = |wanted: &str| {
        cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == wanted && !value.trim().is_empty()).then(|| value.trim())
        })
    };
    // x86 and loongarch, then powerpc, mips and s390, then what arm64 vendors add by hand.
    let named = ["model name", "Model Name", "cpu model", "cpu", "Hardware"].into_iter().find_map(value);
    named.map(str::to_owned).or_else(|| arm(value("CPU implementer")?, value("CPU part")?))
}

/// arm64 says only numbers; the implementer's is assigned by Arm (Main ID Register, bits 31 to 24).
fn arm(implementer: &str, part: &str) -> Option<String> {
    let name = match implementer {
        "0x41" => "ARM",
        "0x42" => "Broadcom",
        "0x43" => "Cavium",
        "0x46" => "Fujitsu",
        "0x48" => "HiSilicon",
        "0x4e" => "NVIDIA",
        "0x50" => "APM",
        "0x51" => "Qualcomm",
        "0x61" => "Apple",
        "0x70" => "Phytium",
        "0xc0" => "Ampere",
        _ => return Some(format!("implementer {implementer} part {part}")),
    };
    Some(format!("{name} part {part}"))
}

#[cfg(test)]
mod tests {
    use super::model;

    #[test]
    fn each_architecture_names_its_processor() {
        assert_eq!(model("processor : 0\nmodel name\t: AMD EPYC 7763\n").as_deref(), Some("AMD EPYC 7763"));
        assert_eq!(
            model("processor : 0\nCPU implementer : 0x70\nCPU part\t: 0x663\n").as_deref(),
            Some("Phytium part 0x663")
        );
        assert_eq!(
            model("Hardware : BCM2835\nCPU implementer : 0x41\nCPU part: 0xd03").as_deref(),
            Some("BCM2835")
        );
        assert_eq!(model(""), None);
        assert_eq!(model("model name :\n"), None);
    }
}

// What the plugin reads: the share of the board's memory that a new program could get.

import { memory } from "cardcage:host/kernel@0.1.0";

export const sampler = {
  configure(settings) {
    return { support: 1 }; // knows any board of the kind; a note would be for the operator
  },

  // What cannot be read becomes a fault, never a 0; the rest is still a sample.
  sample() {
    const sample = { networks: [], disks: [], gpus: [], sensors: [], faults: [] };
    try {
      sample.sensors.push(available());
    } catch (error) {
      sample.faults.push(error.payload ?? { code: "failed", detail: String(error) });
    }
    return sample;
  },
};

function available() {
  const { available, total } = memory();
  if (available == null) throw { payload: { code: "absent", detail: "this kernel does not say what is available" } };
  const value = (100 * available) / total;
  return { place: { part: "board", name: "" }, kind: "memory", name: "available", value, unit: "%", status: "ok", limits: {} };
}

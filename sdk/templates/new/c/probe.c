// What the plugin reads: the share of the board's memory that a new program could get.
#include <stdlib.h>
#include "bindings/plugin.h"

bool exports_cardcage_probe_sampler_configure(plugin_string_t *settings, exports_cardcage_probe_sampler_finding_t *finding, cardcage_types_errors_error_t *error) {
  plugin_string_free(settings);
  *finding = (exports_cardcage_probe_sampler_finding_t){.support = 1}; // knows any board of the kind
  return true;
}

static bool available(cardcage_types_readings_sensor_t *sensor, cardcage_types_errors_error_t *fault) {
  cardcage_host_kernel_memory_info_t memory;
  if (!cardcage_host_kernel_memory(&memory, fault)) return false;
  if (!memory.available.is_some) {
    plugin_string_dup(&fault->code, "absent");
    plugin_string_dup(&fault->detail, "this kernel does not say what is available");
    return false;
  }
  sensor->value = (plugin_option_f64_t){true, 100.0 * memory.available.val / memory.total};
  plugin_string_dup(&sensor->place.part, "board");
  plugin_string_dup(&sensor->kind, "memory");
  plugin_string_dup(&sensor->name, "available");
  plugin_string_dup(&sensor->unit, "%");
  plugin_string_dup(&sensor->status, "ok");
  return true;
}

// What cannot be read becomes a fault, never a 0; the rest is still a sample. What is handed over is freed by the bindings.
bool exports_cardcage_probe_sampler_sample(cardcage_types_readings_sample_t *sample, cardcage_types_errors_error_t *error) {
  cardcage_types_readings_sensor_t *sensor = calloc(1, sizeof *sensor);
  cardcage_types_errors_error_t *fault = calloc(1, sizeof *fault);
  if (!sensor || !fault) abort(); // the agent starts another instance
  bool read = available(sensor, fault);
  *sample = (cardcage_types_readings_sample_t){.sensors = {sensor, read}, .faults = {fault, !read}};
  free(read ? (void *)fault : (void *)sensor);
  return true;
}

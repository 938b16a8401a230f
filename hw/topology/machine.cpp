// SPDX-License-Identifier: BSD-3-Clause
// From hwloc's tree to our description. The only file that sees hwloc.
#include <fmt/core.h>
#include <hwloc.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "ssn/hw/topology.h"

namespace ssn::hw {
namespace {

constexpr const char* cannot = "cannot describe the machine";
constexpr std::string_view synthetic = "synthetic:";
constexpr std::uintmax_t xml_bytes_max = std::uintmax_t{16} << 20;

class Topology {
 public:
  Topology() = default;
  Topology(const Topology&) = delete;
  Topology& operator=(const Topology&) = delete;
  ~Topology() {
    if (made_) {
      hwloc_topology_destroy(tree_);
    }
  }

  // `choose` names the source to the library; 0 is success as with its functions.
  template <typename Choose>
  Outcome load(const std::string& where, Choose choose) {
    if (hwloc_topology_init(&tree_) != 0) {
      return system_error(errno != 0 ? errno : ENOMEM, cannot, where);
    }
    made_ = true;
    errno = 0;
    // CPUs that the cgroup forbids are wanted too: why a core is not used is half of the answer.
    const bool ready =
        choose(tree_) == 0 && hwloc_topology_set_flags(tree_, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) == 0 &&
        hwloc_topology_set_type_filter(tree_, HWLOC_OBJ_PCI_DEVICE, HWLOC_TYPE_FILTER_KEEP_ALL) == 0 &&
        hwloc_topology_set_type_filter(tree_, HWLOC_OBJ_OS_DEVICE, HWLOC_TYPE_FILTER_KEEP_ALL) == 0 &&
        hwloc_topology_load(tree_) == 0;
    if (!ready) {
      return Error{
          Exit::failed, cannot, "hwloc cannot read it", where,
          "give an XML file that `lstopo FILE.xml` wrote, or \"synthetic:pack:2 [numa] core:8 pu:2\""};
    }
    return done;
  }

  hwloc_topology_t tree() const noexcept { return tree_; }

 private:
  hwloc_topology_t tree_ = nullptr;
  bool made_ = false;
};

int only_node(hwloc_const_nodeset_t nodes) {
  return nodes != nullptr && hwloc_bitmap_weight(nodes) == 1 ? hwloc_bitmap_first(nodes) : no_node;
}

unsigned ancestor_number(hwloc_topology_t tree, hwloc_obj_type_t type, hwloc_obj_t object,
                         unsigned otherwise) {
  const hwloc_obj_t ancestor = hwloc_get_ancestor_obj_by_type(tree, type, object);
  return ancestor != nullptr ? ancestor->logical_index : otherwise;
}

// The last cache, or the package where the description has none.
unsigned cache_number(hwloc_topology_t tree, hwloc_obj_t pu, unsigned package) {
  for (const hwloc_obj_type_t level : {HWLOC_OBJ_L4CACHE, HWLOC_OBJ_L3CACHE}) {
    if (const hwloc_obj_t cache = hwloc_get_ancestor_obj_by_type(tree, level, pu); cache != nullptr) {
      return cache->logical_index;
    }
  }
  return package;
}

void add_cpus(hwloc_topology_t tree, Machine& machine) {
  const hwloc_const_cpuset_t allowed = hwloc_topology_get_allowed_cpuset(tree);
  for (hwloc_obj_t pu = nullptr; (pu = hwloc_get_next_obj_by_type(tree, HWLOC_OBJ_PU, pu)) != nullptr;) {
    Cpu cpu;
    cpu.id = pu->os_index;
    cpu.core = ancestor_number(tree, HWLOC_OBJ_CORE, pu, pu->logical_index);
    cpu.package = ancestor_number(tree, HWLOC_OBJ_PACKAGE, pu, 0);
    cpu.cache = cache_number(tree, pu, cpu.package);
    cpu.node = pu->nodeset != nullptr ? hwloc_bitmap_first(pu->nodeset) : no_node;
    cpu.allowed = hwloc_bitmap_isset(allowed, pu->os_index) != 0;
    const int kind = hwloc_cpukinds_get_by_cpuset(tree, pu->cpuset, 0);
    cpu.performance = kind > 0 ? static_cast<unsigned>(kind) : 0;
    machine.cpus.push_back(cpu);
  }
}

void add_nodes(hwloc_topology_t tree, Machine& machine) {
  for (hwloc_obj_t node = nullptr;
       (node = hwloc_get_next_obj_by_type(tree, HWLOC_OBJ_NUMANODE, node)) != nullptr;) {
    machine.nodes.push_back({static_cast<int>(node->os_index), node->attr->numanode.local_memory});
  }
}

// By the base class of its PCI class code.
Device::Kind kind_of(unsigned pci_class) {
  switch (pci_class >> 8) {
    case 0x01:
      return Device::Kind::storage;
    case 0x02:
      return Device::Kind::network;
    case 0x0B:
    case 0x10:
    case 0x12:
      return Device::Kind::crypto;
    default:
      return Device::Kind::other;
  }
}

std::string pci_address(const hwloc_obj_attr_u::hwloc_pcidev_attr_s& pci) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", pci.domain, pci.bus, pci.dev, pci.func);
}

void add_devices(hwloc_topology_t tree, Machine& machine) {
  std::map<hwloc_obj_t, std::size_t> of_pci;
  const auto node_of = [&](hwloc_obj_t object) {
    return only_node(hwloc_get_non_io_ancestor_obj(tree, object)->nodeset);
  };
  for (hwloc_obj_t pci = nullptr; (pci = hwloc_get_next_pcidev(tree, pci)) != nullptr;) {
    Device device;
    device.pci = pci_address(pci->attr->pcidev);
    device.name = device.pci;
    device.kind = kind_of(pci->attr->pcidev.class_id);
    device.node = node_of(pci);
    device.model = pci->name != nullptr ? pci->name
                                        : fmt::format("{:04x}:{:04x}", pci->attr->pcidev.vendor_id,
                                                      pci->attr->pcidev.device_id);
    of_pci[pci] = machine.devices.size();
    machine.devices.push_back(std::move(device));
  }
  for (hwloc_obj_t os = nullptr; (os = hwloc_get_next_osdev(tree, os)) != nullptr;) {
    if (os->attr->osdev.type != HWLOC_OBJ_OSDEV_NETWORK || os->name == nullptr) {
      continue;
    }
    if (const auto found = of_pci.find(os->parent); found != of_pci.end()) {
      machine.devices[found->second].name = os->name;
    } else {
      machine.devices.push_back({os->name, "", Device::Kind::network, node_of(os), "no PCI device"});
    }
  }
}

Machine describe(hwloc_topology_t tree, std::string origin) {
  Machine machine;
  machine.origin = std::move(origin);
  add_cpus(tree, machine);
  add_nodes(tree, machine);
  add_devices(tree, machine);
  return machine;
}

void mark_isolated(Machine& machine, const std::vector<unsigned>& isolated) {
  const std::set<unsigned> numbers(isolated.begin(), isolated.end());
  for (Cpu& cpu : machine.cpus) {
    cpu.isolated = numbers.contains(cpu.id);
  }
}

}  // namespace

std::string_view name(Device::Kind kind) noexcept {
  switch (kind) {
    case Device::Kind::network:
      return "network";
    case Device::Kind::crypto:
      return "crypto";
    case Device::Kind::storage:
      return "storage";
    case Device::Kind::other:
      break;
  }
  return "other";
}

Result<Machine> read_machine(const std::string& root) {
  Topology topology;
  if (Outcome loaded = topology.load("this machine", [](hwloc_topology_t) { return 0; }); !loaded.ok()) {
    return loaded.error();
  }
  Machine machine = describe(topology.tree(), "this machine");
  std::ifstream file(root + "/sys/devices/system/cpu/isolated");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (const Result<std::vector<unsigned>> isolated = parse_cpu_list(text); isolated.ok()) {
    mark_isolated(machine, isolated.value());
  }
  return machine;
}

Result<Machine> read_machine_from(const std::string& source, const std::string& isolated) {
  const Result<std::vector<unsigned>> numbers = parse_cpu_list(isolated);
  if (!numbers.ok()) {
    return numbers.error();
  }
  Topology topology;
  Outcome loaded = done;
  if (source.starts_with(synthetic)) {
    const std::string made_up = source.substr(synthetic.size());
    loaded = topology.load(
        source, [&](hwloc_topology_t tree) { return hwloc_topology_set_synthetic(tree, made_up.c_str()); });
  } else {
    std::error_code error;
    const std::uintmax_t bytes = std::filesystem::file_size(source, error);
    if (error) {
      return system_error(error.value(), cannot, source);
    }
    if (bytes > xml_bytes_max) {
      return Error{Exit::failed, cannot,
                   fmt::format("the file has {} bytes, at most {} are read", bytes, xml_bytes_max), source,
                   "give an XML file that `lstopo FILE.xml` wrote"};
    }
    loaded = topology.load(
        source, [&](hwloc_topology_t tree) { return hwloc_topology_set_xml(tree, source.c_str()); });
  }
  if (!loaded.ok()) {
    return loaded.error();
  }
  Machine machine = describe(topology.tree(), source);
  mark_isolated(machine, numbers.value());
  return machine;
}

}  // namespace ssn::hw

// SPDX-License-Identifier: BSD-3-Clause
#include "parts.h"

namespace ssn::dataplane {

GraphPart bridges_part(const Configuration& configuration) {
  return [&configuration](GraphBuilder& graph) -> Outcome {
    for (const BridgeConfiguration& bridge : configuration.bridges) {
      for (const int from : {0, 1}) {
        const NodeHandle receiver = graph.receive(bridge.ports[from]);
        if (receiver != NodeHandle{}) {
          graph.connect(receiver, 0, graph.transmit(bridge.ports[1 - from]));
        }
      }
    }
    return done;
  };
}

}  // namespace ssn::dataplane

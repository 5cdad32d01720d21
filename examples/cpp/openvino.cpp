// Opens a bundle of target openvino with OpenVINO's C++ API and classifies pictures.
//
//   P=$(python -c "import openvino; print(openvino.__path__[0])")
//   g++ -std=c++17 -O2 openvino.cpp -o classify -I$P/include $P/libs/libopenvino.so.* -Wl,-rpath,$P/libs
//   ./classify birds.fgir photo.jpg

#include <iostream>

#include <openvino/openvino.hpp>

#include "bundle.hpp"

int main(int count, char** words) try {
    if (count < 3) {
        std::cerr << "usage: " << words[0] << " BUNDLE PICTURE...\n";
        return 2;
    }
    const edge_fgir::Bundle bundle(words[1], "openvino");
    ov::Core core;
    // Answers soon instead of many at once, and as the bundle's gates computed them.
    ov::CompiledModel model = core.compile_model(
        bundle.model(), "CPU", ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
        ov::hint::inference_precision(ov::element::f32));
    ov::InferRequest request = model.create_infer_request();
    const std::vector<std::string> outputs = bundle.outputs();
    const size_t size = size_t(bundle.size());

    return edge_fgir::answer_all(count, words, [&](const std::string& path) {
        edge_fgir::Bytes pixels = bundle.read(path);
        request.set_tensor(bundle.input(), ov::Tensor(ov::element::u8, {1, size, size, 3}, pixels.data()));
        request.infer();
        const float* features = outputs.size() > 1 ? request.get_tensor(outputs[1]).data<const float>() : nullptr;
        return bundle.answer(request.get_tensor(outputs[0]).data<const float>(), features);
    });
} catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
}

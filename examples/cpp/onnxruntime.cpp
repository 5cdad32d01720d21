// Opens a bundle of target arm with ONNX Runtime's C++ API and classifies pictures.
//
//   g++ -std=c++17 -O2 onnxruntime.cpp -o classify -I/usr/include/onnxruntime -lonnxruntime
//   ./classify birds.fgir photo.jpg

#include <array>
#include <iostream>

#include <onnxruntime_cxx_api.h>

#include "bundle.hpp"

int main(int count, char** words) try {
    if (count < 3) {
        std::cerr << "usage: " << words[0] << " BUNDLE PICTURE...\n";
        return 2;
    }
    const edge_fgir::Bundle bundle(words[1], "onnxruntime");
    const Ort::Env environment(ORT_LOGGING_LEVEL_ERROR, "edge-fgir");
    Ort::SessionOptions options;
    // As edge-fgir itself asks: threads do not spin, and zeros before a max pooling stay zeros.
    options.AddConfigEntry("session.force_spinning_stop", "1");
    options.AddConfigEntry("optimization.disable_specified_optimizers", "Pad_Fusion");
    Ort::Session session(environment, bundle.model().c_str(), options);

    const std::string input = bundle.input();
    const std::vector<std::string> outputs = bundle.outputs();
    const std::array<const char*, 1> input_names{input.c_str()};
    std::vector<const char*> output_names;
    for (const std::string& name : outputs) output_names.push_back(name.c_str());
    const std::array<int64_t, 4> shape{1, bundle.size(), bundle.size(), 3};
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);

    return edge_fgir::answer_all(count, words, [&](const std::string& path) {
        edge_fgir::Bytes pixels = bundle.read(path);
        const Ort::Value tensor =
            Ort::Value::CreateTensor<uint8_t>(memory, pixels.data(), pixels.size(), shape.data(), shape.size());
        const std::vector<Ort::Value> results = session.Run(
            Ort::RunOptions{}, input_names.data(), &tensor, 1, output_names.data(), output_names.size());
        const float* features = results.size() > 1 ? results[1].GetTensorData<float>() : nullptr;
        return bundle.answer(results[0].GetTensorData<float>(), features);
    });
} catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
}

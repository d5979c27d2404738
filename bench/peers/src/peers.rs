//! The alternatives: each loads a program from memory, calls it and releases it ([`loading`]), or keeps it loaded and
//! calls it ([`calling`]).

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd};

use bareflow_builder::Workspace;
use bareflow_builder::subprocess::{command, output};
use libloading::Library;

use crate::measure::Contender;
use crate::programs::Program;

/// An error of a benchmark.
pub type BoxError = Box<dyn Error>;

/// The programs as C functions of one shared object.
#[derive(Debug)]
pub struct Twins {
    /// The compiler's command.
    pub compiler: &'static str,
    /// The shared object's bytes.
    pub bytes: Vec<u8>,
    library: Library,
}

impl Twins {
    /// Compiles the functions at `-O2`, with `constants` bytes of constants in the object; `None` if there is no such
    /// compiler.
    pub fn compile(workspace: &Workspace, compiler: &'static str, constants: usize) -> Result<Option<Twins>, BoxError> {
        let folder = workspace.target.join("bench");
        std::fs::create_dir_all(&folder)?;
        let (source, library) = (folder.join("peers.c"), folder.join(format!("peers-{compiler}-{constants}.so")));
        let twins = std::fs::read_to_string(workspace.root.join("bench/twins/twins.c"))?;
        let table = format!("const char constants[{}] = {{ 1 }};\n", constants.max(1));
        std::fs::write(&source, format!("{twins}\nint empty(void) {{ return 0; }}\n{table}"))?;
        let mut cc = command(compiler);
        cc.args(["-O2", "-fPIC", "-shared", "-nostdlib", "-o"]).arg(&library).arg(&source);
        let Ok(said) = output(&mut cc) else { return Ok(None) };
        if !said.status.success() {
            return Err(format!("{compiler}: {}", String::from_utf8_lossy(&said.stderr)).into());
        }
        let bytes = std::fs::read(&library)?;
        // SAFETY: the library was just made of functions without constructors.
        Ok(Some(Twins { compiler, bytes, library: unsafe { Library::new(&library) }? }))
    }

    /// Calls a function by the pointer from `dlsym`.
    pub fn calling(&self, program: &Program) -> Result<Contender<'_>, BoxError> {
        // SAFETY: every function there is an `int name(void)`.
        let function = unsafe { *self.library.get::<extern "C" fn() -> i32>(program.name.as_bytes())? };
        let name = format!("{} -O2, pointer of dlsym", self.compiler);
        Ok(Contender::new(name, move || std::hint::black_box(function)()))
    }

    /// Calls `dlopen` on memory: a memory file is written, opened by its name and closed.
    pub fn loading_by_dlopen(&self, program: &Program) -> Contender<'_> {
        let name = program.name;
        Contender::new("libloading (dlopen of a memory file)", move || {
            let file = memory_file(&self.bytes).unwrap_or_else(|error| panic!("a memory file: {error}"));
            open_and_call(&file, name)
        })
    }

    /// Calls `dlopen` on a memory file that already exists.
    pub fn reopening(&self, program: &Program) -> Result<Contender<'_>, BoxError> {
        let (name, file) = (program.name, memory_file(&self.bytes)?);
        Ok(Contender::new("libloading (the file is there)", move || open_and_call(&file, name)))
    }

    /// Loads the object from memory with `elf_loader`.
    pub fn loading_by_elf_loader(&self, program: &Program) -> Contender<'_> {
        let name = program.name;
        Contender::new("elf_loader", move || {
            let raw = elf_loader::Loader::new().load_dylib(&self.bytes[..]).expect("elf_loader maps");
            let library = raw.relocator().relocate().expect("elf_loader relocates");
            // SAFETY: as above.
            unsafe { library.get::<extern "C" fn() -> i32>(name).expect("the function")() }
        })
    }
}

/// Opens a memory file with the twins, calls one of them, and closes it.
fn open_and_call(file: &File, name: &str) -> i32 {
    // SAFETY: the twins are functions without constructors, each an `int name(void)`; it is used before it is closed.
    unsafe {
        let library = Library::new(format!("/proc/self/fd/{}", file.as_raw_fd())).expect("dlopen");
        let function = library.get::<extern "C" fn() -> i32>(name.as_bytes()).expect("dlsym");
        function()
    }
}

fn memory_file(bytes: &[u8]) -> std::io::Result<File> {
    // SAFETY: the name is a terminated string; the descriptor is new, and no one else has it.
    let mut file = unsafe {
        match libc::memfd_create(c"peer".as_ptr(), libc::MFD_CLOEXEC) {
            -1 => return Err(std::io::Error::last_os_error()),
            descriptor => File::from_raw_fd(descriptor),
        }
    };
    file.write_all(bytes)?;
    Ok(file)
}

/// Returns the contenders that need no C compiler, for loading.
pub fn loading(program: &Program) -> Result<Vec<Contender<'static>>, BoxError> {
    let wasm = program.wasm()?;
    let engine = wasmtime::Engine::default();
    let compiled = engine.precompile_module(&wasm)?;
    let wasmtime = Contender::new("wasmtime (precompiled)", move || {
        // SAFETY: the bytes were made by this engine.
        let module = unsafe { wasmtime::Module::deserialize(&engine, &compiled) }.expect("its own bytes");
        let mut store = wasmtime::Store::new(&engine, ());
        let instance = wasmtime::Instance::new(&mut store, &module, &[]).expect("no imports");
        let run = instance.get_typed_func::<(), i32>(&mut store, "run").expect("it is there");
        run.call(&mut store, ()).expect("it returns")
    });
    let engine = wasmi::Engine::default();
    let wasmi = Contender::new("wasmi", move || {
        let module = wasmi::Module::new(&engine, &wasm[..]).expect("it is valid");
        let mut store = wasmi::Store::new(&engine, ());
        let instance = wasmi::Instance::new(&mut store, &module, &[]).expect("no imports");
        let run = instance.get_typed_func::<(), i32>(&store, "run").expect("it is there");
        run.call(&mut store, ()).expect("it returns")
    });
    let code = rbpf::assembler::assemble(program.bpf)?;
    let jit_code = code.clone();
    let interpreter = Contender::new("rbpf (interpreter)", move || {
        let machine = rbpf::EbpfVmNoData::new(Some(&code)).expect("it passes the verifier");
        machine.execute_program().expect("it returns") as i32
    });
    let jit = Contender::new("rbpf (JIT)", move || {
        let mut machine = rbpf::EbpfVmNoData::new(Some(&jit_code)).expect("it passes the verifier");
        machine.jit_compile().expect("it compiles");
        // SAFETY: the program neither divides by zero nor leaves its registers.
        unsafe { machine.execute_program_jit() }.expect("it returns") as i32
    });
    Ok(vec![wasmtime, wasmi, interpreter, jit])
}

/// Returns the contenders that need no C compiler, for calls of a loaded program.
pub fn calling(program: &Program) -> Result<Vec<Contender<'static>>, BoxError> {
    let wasm = program.wasm()?;
    let wasmtime = {
        let engine = wasmtime::Engine::default();
        let module = wasmtime::Module::new(&engine, &wasm)?;
        let mut store = wasmtime::Store::new(&engine, ());
        let instance = wasmtime::Instance::new(&mut store, &module, &[])?;
        let run = instance.get_typed_func::<(), i32>(&mut store, "run")?;
        Contender::new("wasmtime, typed function", move || run.call(&mut store, ()).expect("it returns"))
    };
    let wasmi = {
        let engine = wasmi::Engine::default();
        let module = wasmi::Module::new(&engine, &wasm[..])?;
        let mut store = wasmi::Store::new(&engine, ());
        let instance = wasmi::Instance::new(&mut store, &module, &[])?;
        let run = instance.get_typed_func::<(), i32>(&store, "run")?;
        Contender::new("wasmi, typed function", move || run.call(&mut store, ()).expect("it returns"))
    };
    // The machines borrow their program, and both live to the end.
    let code: &'static [u8] = rbpf::assembler::assemble(program.bpf)?.leak();
    let machine = rbpf::EbpfVmNoData::new(Some(code))?;
    let interpreter =
        Contender::new("rbpf (interpreter)", move || machine.execute_program().expect("it returns") as i32);
    let mut machine = rbpf::EbpfVmNoData::new(Some(code))?;
    machine.jit_compile()?;
    // SAFETY: as in `loading`.
    let jit = move || unsafe { machine.execute_program_jit() }.expect("it returns") as i32;
    Ok(vec![wasmtime, wasmi, interpreter, Contender::new("rbpf (JIT)", jit)])
}

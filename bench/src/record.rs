//! Which puts were acknowledged, so that somebody can ask for them later.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A put that the cluster has confirmed: from now on the key has this number or a higher one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acknowledged {
    /// Number of the key.
    pub key: u64,
    /// Number of the put, which its value carries.
    pub number: u64,
}

/// Where acknowledged puts are reported to, some at a time; all threads share it.
#[derive(Clone)]
pub struct Record(Arc<Mutex<Sink>>);

type Sink = dyn FnMut(&[Acknowledged]) + Send;

impl Record {
    /// Calls `sink` with the acknowledged puts of one read from a connection.
    pub fn new(sink: impl FnMut(&[Acknowledged]) + Send + 'static) -> Record {
        Record(Arc::new(Mutex::new(sink)))
    }

    pub(crate) fn report(&self, puts: &[Acknowledged]) {
        if !puts.is_empty() {
            let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            sink(puts);
        }
    }
}

/// A file of acknowledged puts: key and number as eight little-endian bytes each.
pub struct RecordFile {
    file: BufWriter<File>,
}

impl RecordFile {
    /// Creates the file or empties it.
    pub fn create(path: &Path) -> io::Result<RecordFile> {
        Ok(RecordFile { file: BufWriter::new(File::create(path)?) })
    }

    /// Appends some puts. When it returns, they survive the end of this process.
    pub fn append(&mut self, puts: &[Acknowledged]) -> io::Result<()> {
        for put in puts {
            self.file.write_all(&put.key.to_le_bytes())?;
            self.file.write_all(&put.number.to_le_bytes())?;
        }
        self.file.flush()
    }
}

/// The highest acknowledged number of each key in a file. A torn end is left out: whoever wrote it
/// did not finish.
pub fn read_record(path: &Path) -> io::Result<BTreeMap<u64, u64>> {
    let mut file = BufReader::new(File::open(path)?);
    let mut highest = BTreeMap::new();
    loop {
        let (mut key, mut number) = ([0; 8], [0; 8]);
        let read = file.read_exact(&mut key).and_then(|()| file.read_exact(&mut number));
        match read {
            Ok(()) => {
                let entry = highest.entry(u64::from_le_bytes(key)).or_insert(0);
                *entry = u64::from_le_bytes(number).max(*entry);
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(highest),
            Err(error) => return Err(error),
        }
    }
}
